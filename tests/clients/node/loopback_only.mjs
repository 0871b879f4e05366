// Preloaded (`node --import`): a socket to anything but this machine is refused, told, and ends the process with status 3.
import net from 'node:net'
import process from 'node:process'

const HERE = /^(localhost|127\.\d+\.\d+\.\d+|::1)$/
const attempts = []
const connect = net.Socket.prototype.connect // what tls, http and fetch end in

net.Socket.prototype.connect = function (...given) {
  const first = Array.isArray(given[0]) ? given[0][0] : given[0] // net.connect hands its normalized arguments on
  const target = typeof first === 'object' ? first : { port: first, host: given[1] }
  const host = target.host ?? 'localhost'
  if (!target.path && !HERE.test(host)) {
    attempts.push(host)
    throw new Error(`${host} is not this machine`)
  }
  return connect.apply(this, given)
}

process.on('exit', () => {
  if (attempts.length > 0) {
    console.error(`it reached out: ${attempts.join(', ')}`)
    process.exitCode = 3
  }
})
