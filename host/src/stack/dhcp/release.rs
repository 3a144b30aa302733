//! Giving a lease back.

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    DHCP_CLIENT_PORT, DHCP_SERVER_PORT, DhcpMessageType, DhcpPacket, DhcpRepr, EthernetAddress, EthernetProtocol,
    IpProtocol, Ipv4Address, Ipv4Packet, Ipv4Repr, UdpPacket, UdpRepr,
};

use crate::stack::Core;

impl Core {
    /// Tells the server that the lease is not needed any more (RFC 2131 section 4.4.6). It goes to whoever handed the
    /// server's answer on, since a neighbour that has to be asked for would answer when the address is gone.
    pub(super) fn dhcp_release(&mut self) {
        self.stir();
        let transaction_id = self.random as u32;
        let held = self.dhcp.client.as_ref().and_then(|client| client.lease.as_ref());
        let (Some(held), Some(hardware), true) = (held, self.hardware_address, self.is_up()) else { return };
        let std::net::IpAddr::V4(address) = held.terms.address.address() else { return };
        let to = EthernetAddress(held.from.octets());
        let release = DhcpRepr {
            message_type: DhcpMessageType::Release,
            transaction_id,
            secs: 0,
            client_hardware_address: EthernetAddress(hardware.octets()),
            client_ip: address,
            your_ip: Ipv4Address::UNSPECIFIED,
            server_ip: Ipv4Address::UNSPECIFIED,
            router: None,
            subnet_mask: None,
            relay_agent_ip: Ipv4Address::UNSPECIFIED,
            broadcast: false,
            requested_ip: None,
            client_identifier: Some(EthernetAddress(hardware.octets())),
            server_identifier: Some(held.server.identifier),
            parameter_request_list: None,
            dns_servers: None,
            max_size: None,
            lease_duration: None,
            renew_duration: None,
            rebind_duration: None,
            additional_options: &[],
        };
        let ports = UdpRepr { src_port: DHCP_CLIENT_PORT, dst_port: DHCP_SERVER_PORT };
        let header = Ipv4Repr {
            src_addr: address,
            dst_addr: held.server.address,
            next_header: IpProtocol::Udp,
            payload_len: ports.header_len() + release.buffer_len(),
            hop_limit: 64,
        };
        let length = header.buffer_len() + header.payload_len;
        self.emit_frame(hardware, to, EthernetProtocol::Ipv4, length, |packet| {
            let checksums = ChecksumCapabilities::default();
            header.emit(&mut Ipv4Packet::new_unchecked(&mut *packet), &checksums);
            let mut datagram = UdpPacket::new_unchecked(&mut packet[header.buffer_len()..]);
            let (from, to) = (header.src_addr.into(), header.dst_addr.into());
            ports.emit(
                &mut datagram,
                &from,
                &to,
                release.buffer_len(),
                |payload| {
                    let emitted = release.emit(&mut DhcpPacket::new_unchecked(payload));
                    debug_assert!(emitted.is_ok(), "there is room for as much as it said");
                },
                &checksums,
            );
        });
    }
}
