//! Tests of what is logged of guests: events of their flows, in spans that name the guest.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};
use xila_network_host::Manager;
use xila_network_host::platform::simulated::Simulation;
use xila_network_host::socket::{GuestOptions, ListenOptions, TcpListener, TcpStream, UdpSocket};

/// Collects the lines of events: their spans, from the outermost, and their message.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Inside>>);

#[derive(Default)]
struct Inside {
    /// The text of each span, and its parent.
    spans: Vec<(String, Option<usize>)>,
    entered: Vec<usize>,
    lines: Vec<String>,
}

impl Lines {
    fn with<R>(&self, act: impl FnOnce(&mut Inside) -> R) -> R {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The fields of a span or an event as text.
#[derive(Default)]
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.push_str(&format!(" {}={value:?}", field.name()));
    }
}

fn index(id: &Id) -> usize {
    usize::try_from(id.into_u64() - 1).expect("a small number")
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("xila_network_host")
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut text = Text(span.metadata().name().to_owned());
        span.record(&mut text);
        self.with(|inside| {
            let parent = if span.is_contextual() { inside.entered.last().copied() } else { span.parent().map(index) };
            inside.spans.push((text.0, parent));
            Id::from_u64(inside.spans.len() as u64)
        })
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = Text::default();
        event.record(&mut text);
        self.with(|inside| {
            let mut line = text.0;
            let mut span = inside.entered.last().copied();
            while let Some((text, parent)) = span.and_then(|index| inside.spans.get(index)) {
                line = format!("{text}:{line}");
                span = *parent;
            }
            inside.lines.push(line);
        });
    }

    fn enter(&self, span: &Id) {
        self.with(|inside| inside.entered.push(index(span)));
    }

    fn exit(&self, _: &Id) {
        self.with(|inside| inside.entered.pop());
    }
}

#[test]
fn the_flows_of_a_guest_are_logged_in_its_span() {
    let lines = Lines::default();
    tracing::subscriber::with_default(lines.clone(), || {
        let simulation = Simulation::new(3);
        let manager = Manager::new(simulation.platform());
        let guest = |label: &str| {
            let options = GuestOptions { label: label.into(), ..GuestOptions::default() };
            manager.network().for_guest_with(options)
        };
        let (server, client) = (guest("server.wasm"), guest("client.wasm"));
        let address = "127.0.0.1:80".parse().unwrap();
        let listener = TcpListener::bind(&server, address, ListenOptions::default()).unwrap();
        simulation.block_on(async {
            let stream = TcpStream::connect(&client, address).await.unwrap();
            let accepted = listener.accept().await.unwrap();
            drop((stream, accepted));
        });
        let _socket = UdpSocket::bind(&client, "127.0.0.1:53".parse().unwrap()).unwrap();
    });
    let logged = lines.with(|inside| inside.lines.clone());
    let has = |parts: &[&str]| logged.iter().any(|line| parts.iter().all(|part| line.contains(part)));
    for parts in [
        ["guest ", "label=\"server.wasm\"", "flow protocol=\"tcp\"", "local=127.0.0.1:80", "message=listening"],
        ["guest ", "label=\"client.wasm\"", "interface=\"lo\"", "remote=127.0.0.1:80", "message=connecting"],
        ["guest ", "label=\"server.wasm\"", "interface=\"lo\"", "local=127.0.0.1:80", "message=accepted"],
        ["guest ", "label=\"client.wasm\"", "interface=\"lo\"", "remote=127.0.0.1:80", "message=dropped"],
        ["guest ", "label=\"client.wasm\"", "flow protocol=\"udp\"", "local=127.0.0.1:53", "message=bound"],
    ] {
        assert!(has(&parts), "{parts:?} in {logged:#?}");
    }
    assert!(lines.with(|inside| inside.spans.iter().any(|(span, _)| span == "interface name=lo")), "the runner's span");
}
