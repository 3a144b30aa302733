//! Names that are known without asking, and a zone that the upstream shares.

use super::*;

/// A file of hosts.
struct Hosts;

impl Names for Hosts {
    fn lookup(&self, name: &str) -> Option<Vec<IpAddr>> {
        let known = ["my.test", "printer.local", "plain.example", "host.docker.internal", "printer"];
        known.contains(&name).then(|| vec![Ipv4Addr::new(198, 18, 5, 5).into()])
    }

    fn reverse(&self, address: IpAddr) -> Option<String> {
        (address == Ipv4Addr::new(198, 18, 5, 5)).then(|| "plain.example".to_owned())
    }
}

/// What a server of these does with a query. `None` if it asks the upstream.
fn respond(config: Config, name: &str, kind: RecordType) -> Option<Message> {
    let zone = Name::from_ascii(&config.zone).expect("a name").append_domain(&Name::root()).expect("a short one");
    let responder = Responder::new(zone, config);
    let simulation = Simulation::new(0);
    let mut message = query(name, kind);
    message.edns = Some(Edns::new());
    match responder.consider(&bytes(&message), Transport::Udp, &*simulation.platform().random) {
        Verdict::Answer(answer) => Some(Message::from_vec(&answer).expect("it can be decoded")),
        Verdict::Forward(_) => None,
        Verdict::Ignore => panic!("it is a query"),
    }
}

fn upstream() -> Option<Arc<dyn Upstream>> {
    let simulation = Simulation::new(0);
    Some(Arc::new(Fake { simulation, behaviour: one_address, asked: Mutex::default() }))
}

#[test]
fn the_file_of_hosts_comes_before_what_nobody_knows() {
    let with_hosts = || Config { hosts: Some(Arc::new(Hosts)), is_shared: true, ..config(upstream()) };
    for name in ["my.test.", "PRINTER.local.", "plain.example.", "host.docker.internal.", "printer."] {
        let answer = respond(with_hosts(), name, RecordType::A).expect(name);
        assert_eq!((data(&answer), answer.edns.is_some()), (vec!["198.18.5.5".to_owned()], true), "{name}");
        // Negative answers can be kept (RFC 2308 section 5).
        let other = respond(with_hosts(), name, RecordType::AAAA).expect(name);
        assert_eq!(other.metadata.response_code, ResponseCode::NoError);
        assert_eq!((other.answers.len(), other.authorities.len(), other.edns.is_some()), (0, 1, true), "{name}");
    }
    assert!(respond(with_hosts(), "plain.example.", RecordType::MX).is_none(), "the file has no such records");
    let reverse = respond(with_hosts(), "5.5.18.198.in-addr.arpa.", RecordType::PTR).expect("a name");
    assert_eq!(data(&reverse), ["plain.example."]);
    for name in ["other.test.", "other.local.", "x.invalid.", "x.onion."] {
        let answer = respond(with_hosts(), name, RecordType::A).expect(name);
        assert_eq!(answer.metadata.response_code, ResponseCode::NXDomain, "{name}");
    }
}

#[test]
fn a_zone_that_is_shared_has_its_own_names_and_those_of_the_upstream() {
    let shared = || Config { is_shared: true, ..config(upstream()) };
    assert_eq!(data(&respond(shared(), "server.internal.", RecordType::A).expect("its own")), ["10.0.0.7"]);
    assert!(respond(shared(), "ip-10-1-2-3.ec2.internal.", RecordType::A).is_none(), "the upstream may know it");
    let whole = respond(config(upstream()), "ip-10-1-2-3.ec2.internal.", RecordType::A).expect("it has no such name");
    assert_eq!(whole.metadata.response_code, ResponseCode::NXDomain);
    let alone = respond(Config { is_shared: true, ..config(None) }, "x.internal.", RecordType::A).expect("no upstream");
    assert_eq!(alone.metadata.response_code, ResponseCode::NXDomain);
}

#[test]
fn private_names_beside_another_zone_are_those_of_the_upstream() {
    let other = |upstream| Config { zone: "lab.example".into(), ..config(upstream) };
    assert!(respond(other(upstream()), "x.internal.", RecordType::A).is_none());
    let denied = respond(other(None), "x.internal.", RecordType::A).expect("nobody knows it");
    assert_eq!(denied.metadata.response_code, ResponseCode::NXDomain);
}
