//! Queries that the upstream answers, and clients that wait for it.

use super::*;

#[test]
fn our_own_resolver_finds_the_names_of_the_zone_and_those_of_the_upstream() {
    let world = World::new(one_address);
    let resolver = world.resolver();
    world.simulation.block_on(async {
        let mut found = resolver.resolve("server.internal", None).await.expect("addresses");
        found.sort_unstable();
        assert_eq!(found, app());
        assert_eq!(resolver.resolve("big.internal", None).await.expect("by TCP").len(), 100);
        assert_eq!(resolver.reverse(app()[0]).await, Ok(vec!["server.internal.".into()]));
        assert_eq!(resolver.resolve("other.internal", None).await, Err(ResolveError::NameNotFound));
        assert!(world.upstream.asked.lock().is_empty(), "nobody else is asked about the zone");
        let other = resolver.lookup("example.org", 1).await.expect("addresses");
        assert_eq!(other[0].data, RecordData::Address([192, 0, 2, 9].into()));
    });
    // It goes on after an outage, and ends with its interface.
    let eth0 = world.server.interface("eth0").expect("it is mounted");
    eth0.set_state(State::Down);
    world.simulation.advance(SECOND);
    eth0.set_state(State::Up);
    let message = bytes(&query("server.internal.", RecordType::A));
    assert!(world.ask(&message).is_some());
    world.server.unmount_interface("eth0").expect("it is mounted");
    assert!(world.ask(&message).is_none());
}

#[test]
fn a_query_is_forwarded_as_it_is_with_an_identifier_of_its_own() {
    let world = World::new(one_address);
    let mut message = bytes(&query("eXample.org.", RecordType::A));
    let answer = Message::from_vec(&world.ask(&message).expect("an answer")).expect("it can be decoded");
    assert_eq!((answer.metadata.id, data(&answer)), (0x1234, vec!["192.0.2.9".into()]));
    assert!(answer.queries[0].name().eq_case(&Name::from_ascii("eXample.org.").expect("a name")));
    let mut asked = world.upstream.asked.lock();
    let (asked, transport) = &mut asked[0];
    assert_eq!(*transport, Transport::Udp);
    assert_ne!(asked[..2], message[..2], "the identifier");
    asked[..2].fill(0);
    message[..2].fill(0);
    assert_eq!(*asked, message);
}

#[test]
fn what_only_this_link_or_nobody_knows_is_never_forwarded() {
    let world = World::new(one_address);
    let all = [Ipv4Addr::LOCALHOST.into(), core::net::Ipv6Addr::LOCALHOST.into(), "fe80::1".parse().expect("one")];
    let reversed = all.map(|address: IpAddr| Name::from(address).to_ascii());
    let names = ["localhost.", "a.LocalHost.", "x.invalid.", "x.test.", "x.local.", "x.onion.", "x.alt.", "internal."];
    let networks = ["99.0.0.10.in-addr.arpa.", "x.0.0.10.in-addr.arpa.", "0.0.10.in-addr.arpa.", "1.127.in-addr.arpa."];
    for name in names.into_iter().chain(networks).chain(reversed.iter().map(String::as_str)) {
        for kind in [RecordType::A, RecordType::PTR, RecordType::NS, RecordType::DS, RecordType::ANY] {
            let answer = world.ask(&bytes(&query(name, kind))).expect("an answer");
            assert_eq!(answer[2] & 0x04, 0x04, "{name} {kind}: it is answered here");
        }
    }
    assert!(world.upstream.asked.lock().is_empty());
    world.ask(&bytes(&query("1.2.168.192.in-addr.arpa.", RecordType::PTR))).expect("an answer");
    assert_eq!(world.upstream.asked.lock().len(), 1);
}

#[test]
fn what_is_no_answer_to_the_query_is_a_failure_of_the_server() {
    let wrong: [(&str, Behaviour); 7] = [
        ("silence", |_| None),
        ("nothing", |_| Some(Vec::new())),
        ("the query itself", |query| Some(query.to_vec())),
        ("another identifier", |query| {
            let mut answer = one_address(query)?;
            answer[1] ^= 1;
            Some(answer)
        }),
        ("another name", |query| {
            let mut answer = one_address(query)?;
            answer[13] = b'y';
            Some(answer)
        }),
        ("another type", |query| {
            let mut answer = one_address(query)?;
            answer[12 + 13 + 1] = 28;
            Some(answer)
        }),
        ("a header", |query| Some([&query[..2], &[0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0]].concat())),
    ];
    for (what, behaviour) in wrong {
        let world = World::new(behaviour);
        let answer = world.ask(&bytes(&query("example.org.", RecordType::A))).expect(what);
        let answer = Message::from_vec(&answer).expect("it can be decoded");
        assert_eq!((answer.metadata.id, answer.metadata.response_code), (0x1234, ResponseCode::ServFail), "{what}");
        assert!(answer.answers.is_empty());
    }
    // Only the case of its letters differs.
    let world = World::new(|query| {
        let mut answer = one_address(query)?;
        answer[13] = b'E';
        Some(answer)
    });
    let answer = world.ask(&bytes(&query("example.org.", RecordType::A))).expect("an answer");
    assert_eq!(answer[13], b'e');
}

#[test]
fn an_error_without_the_question_is_told_as_it_is() {
    for code in [1, 4, 5] {
        let behaviour: Behaviour = match code {
            1 => |query| Some([&query[..2], &[0x81, 1, 0, 0, 0, 0, 0, 0, 0, 0]].concat()),
            4 => |query| Some([&query[..2], &[0x81, 4, 0, 0, 0, 0, 0, 0, 0, 0]].concat()),
            _ => |query| Some([&query[..2], &[0x81, 5, 0, 0, 0, 0, 0, 0, 0, 0]].concat()),
        };
        let world = World::new(behaviour);
        let mut message = query("example.org.", RecordType::A);
        message.edns = Some(Edns::new());
        let answer = Message::from_vec(&world.ask(&bytes(&message)).expect("an answer")).expect("it can be decoded");
        assert_eq!((answer.metadata.id, answer.metadata.response_code.low()), (0x1234, code));
        assert_eq!((answer.queries.len(), answer.edns.is_some()), (1, false), "the upstream has no EDNS");
    }
}

#[test]
fn a_datagram_that_is_lost_is_sent_again_and_the_only_server_has_time() {
    let world = World::new(one_address);
    let network = world.client.network();
    let server = SocketAddr::new(SERVER, 5353);
    let socket = UdpSocket::bind(&world.server.network(), server).expect("a socket");
    let servers = Servers::new(network, vec![server]);
    let message = bytes(&query("example.org.", RecordType::A));
    let serve = async {
        let began = world.simulation.now();
        let mut seen = Vec::new();
        // At once, after a second, and after two more.
        let mut last = None;
        for _ in 0..3 {
            let datagram = socket.recv_datagram().await.expect("a query");
            seen.push(world.simulation.now().saturating_duration_since(began).as_secs());
            last = Some(datagram);
        }
        let datagram = last.expect("three");
        let answer = one_address(&datagram.data).expect("an answer");
        socket.send_to(&answer, datagram.remote).await.expect("it is sent");
        seen
    };
    let (answer, seen) = world.simulation.block_on(join(servers.ask(&message, Transport::Udp), serve));
    assert_eq!(data(&Message::from_vec(&answer.expect("an answer")).expect("a message")), ["192.0.2.9"]);
    assert_eq!(seen, [0, 1, 3]);
}

#[test]
fn a_long_answer_of_the_upstream_is_truncated_and_whole_by_tcp() {
    let world = World::new(long);
    let answer = world.ask(&bytes(&query("example.org.", RecordType::TXT))).expect("an answer");
    let answer = Message::from_vec(&answer).expect("it can be decoded");
    assert!(answer.metadata.truncation && answer.answers.is_empty());
    let whole = world.simulation.block_on(world.resolver().lookup("example.org", 16)).expect("by TCP");
    let RecordData::Txt(text) = &whole[0].data else { panic!("{whole:?}") };
    assert_eq!(text.len(), 12);
    assert_eq!(world.upstream.asked.lock().last().expect("a query").1, Transport::Tcp);
}

/// Writes queries to a connection, and reads answers until it ends.
async fn exchange(stream: &TcpStream, queries: &[Message]) -> Vec<Message> {
    let framed: Vec<u8> = queries
        .iter()
        .flat_map(|query| {
            let query = bytes(query);
            [&u16::try_from(query.len()).expect("a short query").to_be_bytes(), &query[..]].concat()
        })
        .collect();
    stream.write_all(&framed).await.expect("room");
    let mut received = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(count) => received.extend(&buffer[..count]),
        }
    }
    let mut answers = Vec::new();
    let mut rest = &received[..];
    while let [a, b, behind @ ..] = rest {
        let (answer, behind) = behind.split_at(usize::from(u16::from_be_bytes([*a, *b])));
        answers.push(Message::from_vec(answer).expect("it can be decoded"));
        rest = behind;
    }
    answers
}

#[test]
fn queries_of_one_connection_are_answered_as_answers_come_and_an_idle_one_ends() {
    let world = World::new(one_address);
    let (answers, lasted) = world.simulation.block_on(async {
        let network = world.client.network();
        let stream = TcpStream::connect(&network, SocketAddr::new(SERVER, PORT)).await.expect("a connection");
        let began = world.simulation.now();
        let mut queries: Vec<Message> = (0..40).map(|_| query("example.org.", RecordType::A)).collect();
        queries.push(query("server.internal.", RecordType::A));
        queries.rotate_right(1);
        queries.iter_mut().zip(0..).for_each(|(query, id)| query.metadata.id = id);
        queries.swap(0, 3);
        let answers = exchange(&stream, &queries).await;
        (answers, world.simulation.now().saturating_duration_since(began))
    });
    let mut ids: Vec<u16> = answers.iter().map(|answer| answer.metadata.id).collect();
    assert_eq!(ids[0], 0, "it was the fourth query, but waits for nobody");
    ids.sort_unstable();
    assert!(ids.into_iter().eq(0..41), "each has an answer");
    assert!(answers.iter().all(|answer| answer.answers.len() == 1));
    // 40 queries, 16 at a time, take three seconds; then nothing comes for ten.
    assert!((SECOND * 13..SECOND * 14).contains(&lasted), "{lasted:?}");
}

#[test]
fn a_message_that_is_too_long_ends_its_connection_and_connections_are_bounded() {
    let world = World::new(one_address);
    world.simulation.block_on(async {
        let network = world.client.network();
        let server = SocketAddr::new(SERVER, PORT);
        let stream = TcpStream::connect(&network, server).await.expect("a connection");
        let began = world.simulation.now();
        stream.write_all(&[0xff; 600]).await.expect("room");
        assert!(matches!(stream.read(&mut [0; 9]).await, Ok(0) | Err(_)));
        assert!(world.simulation.now().saturating_duration_since(began) < SECOND);
        let mut streams = Vec::new();
        for _ in 0..20 {
            streams.push(TcpStream::connect(&network, server).await.expect("a connection"));
        }
        world.simulation.sleep(SECOND).await;
        let open = streams.iter().filter(|stream| {
            stream.try_read(&mut [0; 9]).is_err_and(|error| error == crate::error::ReadError::WouldBlock)
        });
        assert_eq!(open.count(), 16, "the others were closed");
    });
}

#[test]
fn one_client_does_not_take_the_upstream_from_others() {
    let world = World::new(|_| None);
    let flood = async {
        let any = "0.0.0.0:0".parse().expect("an address");
        let socket = UdpSocket::bind(&world.client.network(), any).expect("a socket");
        for _ in 0..300 {
            let message = bytes(&query("example.org.", RecordType::A));
            socket.send_to(&message, SocketAddr::new(SERVER, PORT)).await.expect("it is sent");
        }
        // Those beyond a quarter are lost, and for the others the upstream has no answer.
        let mut answers = 0;
        let clock = world.client.platform().clock.clone();
        while let Some(answer) = clock.within(SECOND * 6, socket.recv_datagram()).await {
            assert_eq!(answer.expect("an answer").data[3] & 0xf, 2, "SERVFAIL");
            answers += 1;
        }
        assert_eq!(answers, 256);
    };
    let resolver = world.resolver();
    let meanwhile = async {
        world.simulation.sleep(SECOND / 2).await;
        resolver.resolve("server.internal", None).await.expect("the zone is answered all the time");
    };
    world.simulation.block_on(join(flood, meanwhile));
    assert_eq!(world.upstream.asked.lock().len(), 256);
}

#[test]
fn servers_of_a_network_can_be_the_upstream() {
    let world = World::new(one_address);
    let network = world.client.network();
    let nobody = SocketAddr::new([10, 0, 0, 99].into(), PORT);
    let servers = Servers::new(network.clone(), vec![nobody, SocketAddr::new(SERVER, PORT)]);
    let message = bytes(&query("server.internal.", RecordType::A));
    for transport in [Transport::Udp, Transport::Tcp] {
        let answer = world.simulation.block_on(servers.ask(&message, transport)).expect("the second one answers");
        assert_eq!(data(&Message::from_vec(&answer).expect("it can be decoded")), ["10.0.0.7"]);
    }
    let silent = Servers::new(network.clone(), vec![nobody]);
    assert!(world.simulation.block_on(silent.ask(&message, Transport::Udp)).is_err());
    let none = Servers::new(network, Vec::new());
    assert_eq!(world.simulation.block_on(none.ask(&message, Transport::Udp)), Err(UpstreamError::Unreachable));
}
