#!/usr/bin/env node
// This file must run on any Node: it imports nothing before it has looked at the version, since what
// it would import fails on an old one with a message that helps nobody.
const [neededMajor, neededMinor] = [22, 13] as const
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)

if (major > neededMajor || (major === neededMajor && minor >= neededMinor)) {
  // Compiled modules are kept between starts, which halves the time of all but the first.
  process.getBuiltinModule('node:module').enableCompileCache()
  import('./process.ts').then((program) => program.run())
} else {
  process.stderr.write(`\
pinaivu-peer needs Node.js ${neededMajor}.${neededMinor} or newer; this is ${process.versions.node}.

In a checkout, "npm install" brings a current Node along: run "npm start" there.
Elsewhere npm can bring one: npx -p node@24 -p pinaivu-peer pinaivu-peer
Or install one from https://nodejs.org
`)
  process.exitCode = 1
}

export {}
