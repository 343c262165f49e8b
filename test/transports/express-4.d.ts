// The alias has no types of its own. What the tests call is the same in Express 5.
declare module 'express-4' {
  import express from 'express'
  export = express
}
