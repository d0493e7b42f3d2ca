import { describe, expect, it } from 'vitest'
import { createLogger } from '../../bin/logger.ts'
import { stage } from './stage.ts'

describe('logs', () => {
  it('are JSON lines on a pipe, with errors in full', () => {
    const io = stage()
    const logger = createLogger('info', io).child('network')
    logger.debug('not this')
    logger.warn('a peer left', { peer: '12D3', error: new Error('reset') })
    expect(JSON.parse(io.stderr.text)).toMatchObject({
      level: 'warn',
      room: 'network',
      msg: 'a peer left',
      peer: '12D3',
      error: { message: 'reset', stack: expect.stringContaining('logger.test.ts') },
    })
    expect(io.stdout.text).toBe('')
  })

  it('are readable and harmless lines on a terminal', () => {
    const io = stage({ tty: true, env: { NO_COLOR: '1' } })
    createLogger('debug', io).child('api').info('asked', { model: 'x\u001b[2J', tokens: 3 })
    expect(io.stderr.text).toMatch(/^\d\d:\d\d:\d\d info {2}api: asked model=x␛\[2J tokens=3\n$/)
  })

  it('leave to the banner what a person at a terminal is told there', () => {
    const io = stage({ tty: true })
    const logger = createLogger(undefined, io)
    logger.info('listening')
    expect(io.stderr.text).toBe('')
    logger.warn('the disk is full')
    expect(io.stderr.text).toMatch(/the disk is full/)
  })

  it('say more or less from now on when told to, in every room', () => {
    const io = stage()
    const logger = createLogger('warn', io)
    const room = logger.child('network')
    room.info('not this')
    logger.setLevel('debug')
    room.debug('this')
    logger.setLevel('silent')
    room.error('nor this')
    logger.setLevel(undefined)
    room.info('and this')
    const said = io.stderr.text.trim().split('\n')
    expect(said.map((line) => JSON.parse(line).msg)).toEqual(['this', 'and this'])
  })

  it('are silent when told so', () => {
    const io = stage()
    createLogger('silent', io).error('x')
    expect(io.stderr.text).toBe('')
  })
})
