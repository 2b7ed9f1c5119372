// Sends a body to each URL by `fetch`, one after another, and prints the statuses: node send.mjs BYTES URL...
import { argv, stdout } from 'node:process'

const [bytes, ...urls] = argv.slice(2)
const body = Buffer.alloc(Number(bytes), ' ')
const statuses = []
for (const url of urls) {
  const answer = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body })
  await answer.text()
  statuses.push(answer.status)
}
stdout.write(JSON.stringify(statuses))
