// Sends with the unmodified client: node segment_node_client.mjs <module folder> <host> <key> <count>.
// Prints what it sent, message id to call; ends with 1 when the client reports any error.
import { createRequire } from 'node:module'

const [folder, host, writeKey, count] = process.argv.slice(2)
const { Analytics } = createRequire(`${folder}/`)('@segment/analytics-node')
const analytics = new Analytics({ host, writeKey, flushAt: 50, flushInterval: 200 })
const errors = []
analytics.on('error', (error) => errors.push(String(error.reason ?? error.code)))

const sent = {}
const send = (type, call) =>
  new Promise((resolve) =>
    analytics[type](call, (error, context) => {
      if (error) errors.push(String(error))
      else sent[context.event.messageId] = context.event
      resolve()
    }),
  )

const calls = [
  send('identify', { userId: 'u', traits: { plan: 'pro', naïve: 'é😀' } }),
  send('page', { userId: 'u', name: 'Home', properties: { url: 'https://shop.example/' } }),
  send('screen', { anonymousId: 'a', name: 'Start', properties: { build: 7 } }),
  send('group', { userId: 'u', groupId: 'g', traits: { seats: 3 } }),
  send('alias', { userId: 'u', previousId: 'a' }),
  send('track', {
    userId: 'u',
    event: 'Order Completed',
    timestamp: new Date('2026-03-01T12:00:00Z'),
    properties: { order_id: 'o1', revenue: 49.99, currency: 'USD' },
  }),
]
for (let number = 0; number < Number(count); number++) {
  calls.push(send('track', { userId: `u${number}`, event: 'Counted', properties: { number, half: number / 2 } }))
}
await analytics.closeAndFlush()
await Promise.all(calls)
console.log(JSON.stringify({ sent, errors }))
process.exitCode = errors.length ? 1 : 0
