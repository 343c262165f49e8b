/**
 * A class whose instances can be called. TypeScript knows the signature by an interface of the
 * subclass's name.
 */
export class Callable {
  /** @param method - Name of the method that a call of the instance runs. */
  constructor(method: string) {
    const instance = (...args: unknown[]) =>
      (instance as unknown as Record<string, (...args: unknown[]) => unknown>)[method]?.(...args)
    // biome-ignore lint/correctness/noConstructorReturn: fields of the subclass go on the function.
    return Object.setPrototypeOf(instance, new.target.prototype)
  }
}

// Instances keep `call`, `bind` and the like.
Object.setPrototypeOf(Callable.prototype, Function.prototype)
