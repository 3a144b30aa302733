//! Watches the link of a TAP: whether the kernel's end is up and has carrier, as rtnetlink(7) tells it.
//!
//! The kernel's messages are hints that something has changed; what is so by then, it is asked. So a message that was lost, or
//! that is about another interface with the same index in another network namespace, or about this one as the port of a bridge,
//! does no harm. The interface is known by its index, which a new name does not change. Where it is moved to another namespace, the message about that says where it
//! is from then on; to go on hearing of it takes the privileges that moving it did.

use core::mem;
use core::task::{Context, Poll};
use std::io;

use netlink_packet_core::{
    ErrorBuffer, ErrorMessage, NLM_F_REQUEST, NLMSG_ERROR, NetlinkBuffer, NetlinkHeader, NetlinkMessage,
    NetlinkPayload, Parseable,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkHeader, LinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{AsyncSocket, SocketAddr, TokioSocket};

use crate::device::Link;

/// The multicast group of what happens to interfaces (`RTNLGRP_LINK` of `linux/rtnetlink.h`).
const LINKS: u32 = 1;
/// An interface is new, has changed, or is what was asked for (`RTM_NEWLINK`).
const NEW_LINK: u16 = 16;
/// An interface is gone from this namespace (`RTM_DELLINK`).
const DELETED_LINK: u16 = 17;

/// Room for a message about one interface. Those of network cards with many virtual functions are longer; they are cut off.
const LONGEST: usize = 8192;

/// The kernel is asked so often at once, and may fail so often at once, before it is not asked any more.
const ATTEMPTS: usize = 8;

/// Watches one interface.
pub(super) struct Watch {
    socket: TokioSocket,
    /// The socket's own address, and the number of the last question: so answers are known.
    port: u32,
    sequence: u32,
    place: Place,
    /// Something has happened since the kernel was asked.
    is_stale: bool,
    /// An interface with this index was deleted since the kernel was asked.
    is_deleted: bool,
    /// The link as the kernel said last, and as it was told to whoever has the device.
    latest: Link,
    told: Link,
    /// The link has been down since it was last told.
    was_down: bool,
    /// How often the interface has lost its carrier.
    losses: Option<u32>,
    /// How often messages could not be received since the last answer.
    failures: usize,
    buffer: Vec<u8>,
}

/// Where the interface is.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// What this process's namespace calls the other one; `None` for this process's own.
    namespace: Option<i32>,
    index: u32,
}

impl Watch {
    /// Watches the interface with this index, in a tokio runtime.
    ///
    /// # Errors
    /// Where the process may have no netlink socket, or the kernel does not answer.
    pub(super) fn open(index: u32) -> io::Result<Self> {
        let mut socket = TokioSocket::new(NETLINK_ROUTE)?;
        let port = socket.socket_mut().bind_auto()?.port_number();
        socket.socket_ref().add_membership(LINKS)?;
        let mut watch = Self {
            socket,
            port,
            sequence: 0,
            place: Place { namespace: None, index },
            is_stale: true,
            is_deleted: false,
            latest: Link::Up,
            told: Link::Up,
            was_down: false,
            losses: None,
            failures: 0,
            buffer: Vec::with_capacity(LONGEST),
        };
        watch.catch_up()?;
        watch.told = watch.latest;
        watch.was_down = false;
        Ok(watch)
    }

    /// The link as it was last told.
    pub(super) const fn link(&self) -> Link {
        self.told
    }

    /// Learns what has happened, and has the task woken when more does. A link that went down and came up again meanwhile is
    /// told as down first: the cable may be in another network.
    ///
    /// # Errors
    /// Where the kernel says nothing any more: the interface was moved to where this process may not look.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        loop {
            let mut buffer = self.empty_buffer();
            let Poll::Ready(received) = self.socket.poll_recv_from(context, &mut buffer) else {
                self.buffer = buffer;
                break;
            };
            self.received(received, buffer)?;
            self.catch_up()?;
        }
        let was_down = mem::take(&mut self.was_down);
        if was_down && self.told == Link::Up && self.latest == Link::Up {
            self.told = Link::Down;
            context.waker().wake_by_ref();
        } else {
            self.told = self.latest;
        }
        Ok(())
    }

    /// Reads what there is, and asks where that says that something has changed.
    fn catch_up(&mut self) -> io::Result<()> {
        for _ in 0..ATTEMPTS {
            self.read()?;
            if !self.is_stale {
                return Ok(());
            }
            // The answer is there when this returns, unless there was no room for it.
            self.ask()?;
        }
        Err(io::Error::other("the kernel does not answer"))
    }

    fn ask(&mut self) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut question = LinkMessage::default();
        question.header.index = self.place.index;
        question.attributes.extend(self.place.namespace.map(LinkAttribute::IfNetnsId));
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST;
        header.sequence_number = self.sequence;
        let question = NetlinkPayload::from(RouteNetlinkMessage::GetLink(question));
        let mut message = NetlinkMessage::new(header, question);
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.socket.socket_ref().send_to(&bytes, &SocketAddr::new(0, 0), 0)?;
        Ok(())
    }

    /// Reads messages until there are none.
    fn read(&mut self) -> io::Result<()> {
        loop {
            let mut buffer = self.empty_buffer();
            let received = self.socket.socket_ref().recv_from(&mut buffer, 0).map(|(_, sender)| sender);
            let is_empty = received.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
            if is_empty {
                self.buffer = buffer;
                return Ok(());
            }
            self.received(received, buffer)?;
        }
    }

    fn empty_buffer(&mut self) -> Vec<u8> {
        let mut buffer = mem::take(&mut self.buffer);
        buffer.clear();
        buffer
    }

    /// Takes what was received, and the buffer back.
    fn received(&mut self, sender: io::Result<SocketAddr>, buffer: Vec<u8>) -> io::Result<()> {
        let taken = match sender {
            // Another process may send too.
            Ok(sender) if sender.port_number() == 0 => self.take(&buffer),
            Ok(_) => Ok(()),
            // There were more than there was room for (ENOBUFS).
            Err(_) if self.failures < ATTEMPTS => {
                self.failures += 1;
                self.is_stale = true;
                Ok(())
            }
            Err(error) => Err(error),
        };
        self.buffer = buffer;
        taken
    }

    /// Takes a message. The kernel sends each by itself.
    fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Ok(message) = NetlinkBuffer::new_checked(bytes) else {
            self.is_stale = true;
            return Ok(());
        };
        let is_answer = message.port_number() == self.port && message.sequence_number() == self.sequence;
        match message.message_type() {
            NLMSG_ERROR if is_answer => self.refused(message.payload()),
            kind @ (NEW_LINK | DELETED_LINK) => {
                let Ok(header) = LinkHeader::parse(message.payload()) else { return Ok(()) };
                if header.index != self.place.index {
                    return Ok(());
                }
                // Of a newer kernel's attributes some may not be understood. The flags do without.
                let attributes = LinkMessage::parse(message.payload()).map(|message| message.attributes);
                let attributes = attributes.unwrap_or_default();
                let link =
                    if header.flags.contains(LinkFlags::Up | LinkFlags::LowerUp) { Link::Up } else { Link::Down };
                match kind {
                    DELETED_LINK => return self.left(&attributes),
                    _ if is_answer => self.answered(link, &attributes),
                    _ => {
                        self.is_stale = true;
                        // With messages from all namespaces it may be another's.
                        self.was_down |= link == Link::Down && self.place.namespace.is_none();
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The kernel has said how the interface is.
    fn answered(&mut self, link: Link, attributes: &[LinkAttribute]) {
        let losses = attributes.iter().find_map(|attribute| match attribute {
            LinkAttribute::CarrierDownCount(count) => Some(*count),
            _ => None,
        });
        // What was away and is back may be told by nothing else.
        self.was_down |= link == Link::Down || (self.losses.is_some() && losses != self.losses);
        self.losses = losses;
        self.failures = 0;
        self.latest = link;
        self.is_stale = false;
        self.is_deleted = false;
    }

    /// The kernel does not say how the interface is.
    fn refused(&mut self, error: &[u8]) -> io::Result<()> {
        self.is_stale = false;
        if self.is_deleted {
            self.latest = Link::Down;
            return Ok(());
        }
        let error = ErrorBuffer::new_checked(&error).and_then(|error| ErrorMessage::parse(&error));
        error.map_or(Ok(()), |error| Err(error.to_io()))
    }

    /// An interface with this index has left its namespace: it was deleted, or moved to another.
    fn left(&mut self, attributes: &[LinkAttribute]) -> io::Result<()> {
        let namespace = attributes.iter().find_map(|attribute| match attribute {
            LinkAttribute::NewNetnsId(namespace) => Some(*namespace),
            _ => None,
        });
        let index = attributes.iter().find_map(|attribute| match attribute {
            LinkAttribute::NewIfIndex(index) => u32::try_from(*index).ok(),
            _ => None,
        });
        self.is_stale = true;
        match namespace {
            None => self.is_deleted = true,
            // By what name this namespace knows the third is not said. Where it is the interface that was watched, the
            // kernel does not find it any more.
            Some(_) if self.place.namespace.is_some() => {}
            Some(_) => {
                // First, so that nothing is missed.
                self.socket.socket_ref().set_listen_all_namespaces(true)?;
                self.place = Place { namespace, index: index.unwrap_or(self.place.index) };
            }
        }
        Ok(())
    }
}
