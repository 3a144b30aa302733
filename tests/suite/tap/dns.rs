//! Name resolution, with dnsmasq as the server.

use std::net::IpAddr;
use std::time::Duration;

use xila_network_host::Manager;
use xila_network_host::socket::dns::{Record, RecordData};
use xila_network_host::socket::{ResolveError, Resolver, ResolverOptions};
use xila_network_tests::dnsmasq::Dnsmasq;
use xila_network_tests::netns::{KERNEL_V4, KERNEL_V6};

use super::with_kernel;

/// The records of dnsmasq. It is authoritative for `test`; it refuses queries for other names, as it has no upstream
/// server.
const ZONE: [&str; 9] = [
    "--local=/test/",
    "--host-record=www.test,192.0.2.80,fd00::80",
    "--host-record=four.test,192.0.2.4",
    "--cname=alias.test,www.test",
    "--mx-host=test,mail.test,10",
    "--txt-record=text.test,one,two",
    "--srv-host=_sip._tcp.test,www.test,5060,1,2",
    "--ptr-record=9.2.0.192.in-addr.arpa,nine.test",
    "--caa-record=test,0,issue,ca.test",
];

fn ask(manager: &Manager, servers: &[IpAddr]) -> Resolver {
    let interface = manager.interface("tap0").unwrap();
    servers.iter().for_each(|server| interface.add_dns_server(*server).unwrap());
    Resolver::new(manager.network(), ResolverOptions { timeout: Duration::from_secs(20), ..ResolverOptions::default() })
}

fn texts(addresses: &[IpAddr]) -> Vec<String> {
    addresses.iter().map(IpAddr::to_string).collect()
}

/// The data of the only record.
fn data(records: Result<Vec<Record>, ResolveError>) -> RecordData {
    match &records.unwrap()[..] {
        [record] => record.data.clone(),
        records => panic!("{records:?}"),
    }
}

#[test]
fn records_of_all_kinds_come_from_dnsmasq_over_both_families() {
    with_kernel(&["dnsmasq"], 1500, async |namespace, manager| {
        let _dnsmasq = Dnsmasq::start(namespace, &ZONE).await;
        for server in [KERNEL_V4, KERNEL_V6] {
            let resolver = ask(manager, &[server]);
            assert_eq!(texts(&resolver.resolve("www.test", None).await.unwrap()), ["192.0.2.80", "fd00::80"]);
            assert_eq!(texts(&resolver.resolve("alias.test", None).await.unwrap()), ["192.0.2.80", "fd00::80"]);
            assert_eq!(texts(&resolver.resolve("four.test", None).await.unwrap()), ["192.0.2.4"]);
            let chain = resolver.lookup("alias.test", 28).await.unwrap();
            assert_eq!(chain[0].data, RecordData::Name("www.test.".into()));
            assert_eq!(chain[1].data, RecordData::Address("fd00::80".parse().unwrap()));
            let mx = RecordData::Mx { preference: 10, exchange: "mail.test.".into() };
            assert_eq!(data(resolver.lookup("test", 15).await), mx);
            let txt = RecordData::Txt(vec![b"one".to_vec(), b"two".to_vec()]);
            assert_eq!(data(resolver.lookup("text.test", 16).await), txt);
            let srv = RecordData::Srv { priority: 1, weight: 2, port: 5060, target: "www.test.".into() };
            assert_eq!(data(resolver.lookup("_sip._tcp.test", 33).await), srv);
            assert_eq!(data(resolver.lookup("test", 257).await), RecordData::Other(b"\0\x05issueca.test".to_vec()));
            assert_eq!(resolver.reverse("192.0.2.9".parse().unwrap()).await.unwrap(), ["nine.test."]);
            assert_eq!(resolver.reverse("fd00::80".parse().unwrap()).await.unwrap(), ["www.test."]);
            assert_eq!(resolver.resolve("gone.test", None).await, Err(ResolveError::NameNotFound));
            assert_eq!(resolver.lookup("four.test", 28).await, Err(ResolveError::NoRecords));
            assert_eq!(resolver.resolve("elsewhere.example", None).await, Err(ResolveError::ServerFailure));
            manager.interface("tap0").unwrap().remove_dns_server(server).unwrap();
        }
    });
}

#[test]
fn what_dnsmasq_cuts_off_is_asked_for_by_tcp() {
    with_kernel(&["dnsmasq"], 1500, async |namespace, manager| {
        let records: Vec<String> = (0..200).map(|host| format!("--host-record=many.test,10.1.0.{host}")).collect();
        let mut options = ZONE.to_vec();
        options.extend(records.iter().map(String::as_str));
        let _dnsmasq = Dnsmasq::start(namespace, &options).await;
        let resolver = ask(manager, &[KERNEL_V4]);
        assert_eq!(resolver.resolve("many.test", None).await.unwrap().len(), 200);
    });
}

#[test]
fn what_one_server_fails_at_the_next_knows() {
    // A server that answers every query with SERVFAIL.
    const FAILING: &str = "
server = socket(AF_INET6, SOCK_DGRAM)
server.bind((sys.argv[1], 53))
print('ready')
while True:
    query, peer = server.recvfrom(4096)
    server.sendto(query[:2] + bytes([0x81, 0x82]) + query[4:], peer)
    print('failed')
";
    with_kernel(&["dnsmasq", "python3"], 1500, async |namespace, manager| {
        let mut failing = namespace.python(FAILING, &[&KERNEL_V6.to_string()]);
        assert_eq!(failing.line().await, "ready");
        let listen = format!("--listen-address={KERNEL_V4}");
        let mut options = ZONE.to_vec();
        options.push(&listen);
        let _dnsmasq = Dnsmasq::start(namespace, &options).await;
        let resolver = ask(manager, &[KERNEL_V6, KERNEL_V4]);
        assert_eq!(texts(&resolver.resolve("four.test", None).await.unwrap()), ["192.0.2.4"]);
        assert_eq!(failing.line().await, "failed");
    });
}

#[test]
fn a_query_that_is_cancelled_leaves_nothing_and_the_next_is_answered() {
    with_kernel(&["dnsmasq", "python3"], 1500, async |namespace, manager| {
        // A server that receives queries and never answers.
        const SILENT: &str = "
server = socket(AF_INET6, SOCK_DGRAM)
server.bind((sys.argv[1], 53))
print('ready')
server.recv(4096)
print('heard')
sys.stdin.read()
";
        let mut silent = namespace.python(SILENT, &[&KERNEL_V6.to_string()]);
        assert_eq!(silent.line().await, "ready");
        let resolver = ask(manager, &[KERNEL_V6]);
        tokio::select! {
            found = resolver.resolve("www.test", None) => panic!("{found:?}"),
            line = silent.line() => assert_eq!(line, "heard"),
        }
        let statistics = manager.interface("tap0").unwrap().statistics();
        assert_eq!((statistics.udp_sockets, statistics.tcp_flows), (0, 0));
        silent.succeed().await;
        let _dnsmasq = Dnsmasq::start(namespace, &ZONE).await;
        assert_eq!(texts(&resolver.resolve("www.test", None).await.unwrap()), ["192.0.2.80", "fd00::80"]);
    });
}
