//! Watches the link of a TAP interface: whether the kernel's end is up and has carrier, by rtnetlink(7).
//!
//! The kernel's messages are only hints that something has changed; then the kernel is asked for the present state. So
//! it does no harm if a message is lost, or is about another interface with the same index in another network
//! namespace, or about this interface as the port of a bridge. The interface is identified by its index, which stays
//! the same when it is renamed. If it is moved to another namespace, the message about that says where it is from then
//! on. To continue to receive messages takes the same privileges as moving it.

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

/// The multicast group for messages about interfaces (`RTNLGRP_LINK` of `linux/rtnetlink.h`).
const LINKS: u32 = 1;
/// The type of a message about a new or changed interface, and of the answer to a request (`RTM_NEWLINK`).
const NEW_LINK: u16 = 16;
/// The type of the message that an interface has left its namespace (`RTM_DELLINK`).
const DELETED_LINK: u16 = 17;

/// The size of the buffer for a message about one interface, in bytes. Messages about network cards with many virtual
/// functions are longer and are truncated.
const LONGEST: usize = 8192;

/// The maximum number of requests in a row without a valid answer, and of receive errors in a row, before the watch
/// ends.
const ATTEMPTS: usize = 8;

/// Watches one interface.
pub(super) struct Watch {
    socket: TokioSocket,
    /// The socket's own port number and the sequence number of the last request, by which answers are recognised.
    port: u32,
    sequence: u32,
    place: Place,
    /// Whether something has changed since the kernel was asked.
    is_stale: bool,
    /// Whether an interface with this index was deleted since the kernel was asked.
    is_deleted: bool,
    /// The link as the kernel reported it last (`latest`), and as it was reported to the stack (`told`).
    latest: Link,
    told: Link,
    /// Whether the link has been down since it was last reported to the stack.
    was_down: bool,
    /// The number of times that the interface has lost its carrier, if it is known.
    losses: Option<u32>,
    /// The number of receive errors since the last answer.
    failures: usize,
    buffer: Vec<u8>,
}

/// The network namespace and the index of the interface.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// The identifier of the other namespace in this process's namespace; `None` for this process's own namespace.
    namespace: Option<i32>,
    index: u32,
}

impl Watch {
    /// Watches the interface with this index, in a tokio runtime.
    ///
    /// # Errors
    /// The process may not have a netlink socket, or the kernel does not answer.
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

    /// The link as it was last reported.
    pub(super) const fn link(&self) -> Link {
        self.told
    }

    /// Finds out what has changed, and registers the task to be woken at the next change. If the link went down and
    /// came up again meanwhile, it is reported as down first, because the cable may be in another network.
    ///
    /// # Errors
    /// The kernel reports nothing any more, because the interface was moved to a namespace that this process may not
    /// observe.
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

    /// Reads the waiting messages, and asks the kernel if something has changed.
    fn catch_up(&mut self) -> io::Result<()> {
        for _ in 0..ATTEMPTS {
            self.read()?;
            if !self.is_stale {
                return Ok(());
            }
            // The answer has been queued when this returns, unless there was no room for it.
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

    /// Handles the result of receiving a message, and keeps the buffer for the next one.
    fn received(&mut self, sender: io::Result<SocketAddr>, buffer: Vec<u8>) -> io::Result<()> {
        let taken = match sender {
            // Messages from other processes are ignored.
            Ok(sender) if sender.port_number() == 0 => self.take(&buffer),
            Ok(_) => Ok(()),
            // Messages were lost because there was no room for them (ENOBUFS).
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

    /// Handles a message. The kernel sends each message separately.
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
                // Some attributes of newer kernels may not be decodable. The flags do not depend on them.
                let attributes = LinkMessage::parse(message.payload()).map(|message| message.attributes);
                let attributes = attributes.unwrap_or_default();
                let link =
                    if header.flags.contains(LinkFlags::Up | LinkFlags::LowerUp) { Link::Up } else { Link::Down };
                match kind {
                    DELETED_LINK => return self.left(&attributes),
                    _ if is_answer => self.answered(link, &attributes),
                    _ => {
                        self.is_stale = true;
                        // If messages from all namespaces are received, this may be about another interface.
                        self.was_down |= link == Link::Down && self.place.namespace.is_none();
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Handles the answer about the interface.
    fn answered(&mut self, link: Link, attributes: &[LinkAttribute]) {
        let losses = attributes.iter().find_map(|attribute| match attribute {
            LinkAttribute::CarrierDownCount(count) => Some(*count),
            _ => None,
        });
        // A loss of carrier that is over by now may only be visible in this counter.
        self.was_down |= link == Link::Down || (self.losses.is_some() && losses != self.losses);
        self.losses = losses;
        self.failures = 0;
        self.latest = link;
        self.is_stale = false;
        self.is_deleted = false;
    }

    /// Handles an error as the answer.
    fn refused(&mut self, error: &[u8]) -> io::Result<()> {
        self.is_stale = false;
        if self.is_deleted {
            self.latest = Link::Down;
            return Ok(());
        }
        let error = ErrorBuffer::new_checked(&error).and_then(|error| ErrorMessage::parse(&error));
        error.map_or(Ok(()), |error| Err(error.to_io()))
    }

    /// Handles the message that an interface with this index has left its namespace: it was deleted or moved to another
    /// one.
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
            // The message does not have the identifier of the third namespace in this process's namespace. If it was
            // the watched interface, the kernel will not find it any more.
            Some(_) if self.place.namespace.is_some() => {}
            Some(_) => {
                // Enabled first, so that no message is missed.
                self.socket.socket_ref().set_listen_all_namespaces(true)?;
                self.place = Place { namespace, index: index.unwrap_or(self.place.index) };
            }
        }
        Ok(())
    }
}
