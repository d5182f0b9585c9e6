#include "gateway/echo_responder.h"

namespace fortros::gateway {

Result<std::unique_ptr<EchoResponder>> EchoResponder::create(Parts parts, const OrgPrefix& prefix,
                                                             const PrivateKey& key,
                                                             const PublicKey& public_key) {
    std::unique_ptr<EchoResponder> responder(new EchoResponder(parts, prefix, key, public_key));
    responder->m_socket = TRY(DatagramSocket::open(
        parts.loop, overlay_address(prefix, public_key), mesh::mesh_port,
        [raw = responder.get()](const Datagram& datagram) { raw->receive(datagram); }));
    return responder;
}

// What the kernel lets through from an overlay address comes from the peer whose it is.
void EchoResponder::receive(const Datagram& datagram) {
    const auto sender = mesh::Courier::claimed_sender(datagram.payload);
    if (!sender || datagram.source.address != overlay_address(m_prefix, *sender)) return;
    const bool is_member = m_parts.tunnels.contains(*sender);
    const auto opened = m_courier.open(datagram.payload, is_member, monotonic_now());
    if (!opened) return;
    const Endpoint back{datagram.source.address, mesh::mesh_port};
    // What can't be sent is lost, as datagrams are: the node asks again.
    for (const Bytes& reply : opened->reply) (void)m_socket->send(reply, back);
    if (is_member && opened->message && opened->message->verb == mesh::LinkVerb::Probe)
        answer(opened->from, opened->message->nonce, back);
}

void EchoResponder::answer(const PublicKey& node, std::uint64_t nonce, const Endpoint& to) {
    mesh::LinkMessage echo{.verb = mesh::LinkVerb::Echo, .nonce = nonce, .linked = true};
    if (auto seen = m_parts.tunnels.endpoint(node)) echo.seen = *seen;
    const auto datagram = m_courier.seal(node, echo, monotonic_now());
    if (datagram) (void)m_socket->send(*datagram, to);
}

}  // namespace fortros::gateway
