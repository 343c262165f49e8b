// Middleware as its documentation puts it before an application's routes. Each function gives what `app.use` takes.
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

// As an application has them: by `require`, which all of these packages support.
const require = createRequire(import.meta.url)
const load = (name) => {
  const loaded = require(name)
  return typeof loaded === 'function' ? loaded : (loaded.default ?? loaded)
}
const secret = 'a secret of at least thirty-two characters'
// Of the form that the package wants, and of nobody.
const applicationId = `eyJhcHAiOiIxOjEiLCJ2ZXIiOiIyLjAifQ.${'a'.repeat(60)}`
const ignore = () => undefined
const quiet = { info: ignore, warn: ignore, error: ignore }
const folder = fileURLToPath(new URL('.', import.meta.url))

export const middleware = {
  'nothing else': () => (_req, _res, next) => next(),
  '@polka/compression': () => require('@polka/compression')(),
  apicache: () =>
    require('apicache')
      .options({ appendKey: (req) => req.method })
      .middleware('1 minute'),
  'body-parser': () => [
    load('body-parser').json(),
    load('body-parser').urlencoded({ extended: true }),
  ],
  'client-sessions': () => load('client-sessions')({ cookieName: 'session', secret }),
  'cls-rtracer': () => require('cls-rtracer').expressMiddleware(),
  compression: () => load('compression')({ threshold: 0 }),
  'connect-flash': () => [session(), load('connect-flash')()],
  'connect-history-api-fallback': () => load('connect-history-api-fallback')(),
  'connect-timeout': () => load('connect-timeout')('1s'),
  'cookie-parser': () => load('cookie-parser')(secret),
  'cookie-session': () => load('cookie-session')({ secret }),
  cors: () => load('cors')({ origin: true, credentials: true }),
  'csrf-csrf': () => {
    const { doubleCsrfProtection } = require('csrf-csrf').doubleCsrf({
      getSecret: () => secret,
      getSessionIdentifier: () => '',
      ignoredMethods: ['GET', 'HEAD', 'POST', 'DELETE'],
    })
    return [load('cookie-parser')(), doubleCsrfProtection]
  },
  'express-basic-auth': () => [
    (req, _res, next) => {
      req.headers.authorization = `Basic ${btoa('user:word')}`
      next()
    },
    load('express-basic-auth')({ users: { user: 'word' } }),
  ],
  'express-cache-controller': () => load('express-cache-controller')({ maxAge: 60, public: true }),
  'express-fileupload': () => load('express-fileupload')(),
  'express-http-context': () => require('express-http-context').middleware,
  'express-http-proxy': () => [load('express-http-proxy')('127.0.0.1:9', { filter: () => false })],
  'express-interceptor': () =>
    load('express-interceptor')(() => ({ isInterceptable: () => false })),
  'express-jwt': () =>
    require('express-jwt').expressjwt({
      secret,
      algorithms: ['HS256'],
      credentialsRequired: false,
    }),
  'express-minify': () => load('express-minify')(),
  'express-mung': () => load('express-mung').write(() => undefined),
  'express-openapi-validator': () =>
    require('express-openapi-validator').middleware({
      apiSpec: { openapi: '3.0.0', info: { title: 'x', version: '1' }, paths: {} },
      ignoreUndocumented: true,
    }),
  'express-prom-bundle': () => {
    require('prom-client').register.clear()
    return load('express-prom-bundle')({ includeMethod: true })
  },
  'express-rate-limit': () => require('express-rate-limit').rateLimit({ limit: 1000 }),
  'express-request-id': () => load('express-request-id')(),
  'express-requests-logger': () => load('express-requests-logger')({ logger: quiet }),
  'express-session': () => session(),
  'express-slow-down': () =>
    require('express-slow-down').slowDown({ delayAfter: 1000, delayMs: () => 10 }),
  'express-status-monitor': () => load('express-status-monitor')({ path: '/status' }),
  'express-timeout-handler': () => load('express-timeout-handler').handler({ timeout: 1000 }),
  'express-useragent': () => require('express-useragent').express(),
  'express-validator': () => require('express-validator').query('page').optional().isInt(),
  'express-winston': () => {
    const { transports } = require('winston')
    return load('express-winston').logger({
      transports: [new transports.Console({ silent: true })],
    })
  },
  helmet: () => load('helmet')(),
  hpp: () => load('hpp')(),
  'http-compression': () => load('http-compression')(),
  'http-proxy-middleware': () =>
    require('http-proxy-middleware').createProxyMiddleware({
      target: 'http://127.0.0.1:9',
      pathFilter: '/elsewhere',
    }),
  'i18next-http-middleware': () => {
    const i18next = load('i18next').createInstance({ showSupportNotice: false })
    i18next.use(require('i18next-http-middleware').LanguageDetector).init({ resources: {} })
    return load('i18next-http-middleware').handle(i18next)
  },
  log4js: () => {
    const log4js = load('log4js')
    log4js.configure({
      appenders: { none: { type: 'recording' } },
      categories: { default: { appenders: ['none'], level: 'info' } },
    })
    return log4js.connectLogger(log4js.getLogger(), { level: 'auto' })
  },
  lusca: () => [
    session(),
    load('lusca')({ xframe: 'SAMEORIGIN', hsts: { maxAge: 1 }, xssProtection: true }),
  ],
  'method-override': () => load('method-override')('X-HTTP-Method-Override'),
  'moesif-nodejs': () =>
    load('moesif-nodejs')({ applicationId, logBody: true, disableBatching: true }),
  morgan: () => load('morgan')('tiny', { stream: { write: ignore } }),
  multer: () => load('multer')().none(),
  'next-session': () => {
    const getSession = load('next-session')
    const get = (getSession.default ?? getSession)()
    return (req, res, next) => get(req, res).then(() => next(), next)
  },
  nocache: () => load('nocache')(),
  'overload-protection': () => load('overload-protection')('express', { logging: false }),
  passport: () => [session(), load('passport').initialize(), load('passport').session()],
  'pino-http': () => load('pino-http')({ enabled: false }),
  'request-ip': () => load('request-ip').mw(),
  'response-time': () => load('response-time')(),
  'route-cache': () => load('route-cache').cacheSeconds(60),
  'serve-favicon': () => load('serve-favicon')(Buffer.from('icon')),
  'serve-static': () => load('serve-static')(`${folder}node_modules/helmet`),
  'server-timing': () => load('server-timing')(),
  'swagger-ui-express': () => [
    ...require('swagger-ui-express').serve.map(
      (handler) => (req, res, next) =>
        req.path.startsWith('/docs') ? handler(req, res, next) : next(),
    ),
  ],
  'toobusy-js': () => {
    const isTooBusy = load('toobusy-js')
    isTooBusy.maxLag(10_000)
    return (_req, res, next) => (isTooBusy() ? res.sendStatus(503) : next())
  },
  vhost: () => load('vhost')('other.example', (_req, res) => res.sendStatus(404)),
}

function session() {
  return load('express-session')({ secret, resave: true, saveUninitialized: true, rolling: true })
}
