// Loaded before a server that would listen on every address: it listens on loopback alone.
import net from "node:net";

const listen = net.Server.prototype.listen;

net.Server.prototype.listen = function (port, ...further) {
  return listen.call(this, { host: "127.0.0.1", port: Number(port) }, ...further.filter((one) => typeof one === "function"));
};
