//! Tests of protocols that configure an interface: DHCP (RFC 2131), IPv6 autoconfiguration (RFC 4861, RFC 4862) and
//! stateless DHCPv6 (RFC 8415). The tests contain the servers and the router themselves, and run under virtual time.

mod conflict;
mod information;
mod late;
mod lease;
mod limits;
mod memory;
mod nonsense;
mod router;
mod server;
mod told;
mod world;

use world::World;
