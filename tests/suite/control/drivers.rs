//! Commands of drivers, and what a driver may do while it executes one.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{self, Poll};

use xila_network_commands::commands::{GetKind, GetMtu, GetState, ListAddresses, SetMtu};
use xila_network_commands::drivers::{hub, loopback};
use xila_network_commands::{CommandId, define_command};
use xila_network_host::Error;
use xila_network_host::device::controller::execute;
use xila_network_host::device::{Capabilities, Checksums, Controller, Device, Frame, Medium, Pool};
use xila_network_host::interface::{Change, Kind, Link, Notice, State};
use xila_network_host::platform::Instant;
use xila_network_host::socket::UdpSocket;

use super::*;

define_command! {
    /// The number that was set.
    pub(super) GetNumber = "get number", Get, 0x900, 1, 1: () => u32;
    /// Sets the number; 13 is refused.
    pub(super) SetNumber = "set number", Set, 0x900, 1, 1: u32 => ();
    /// Queries the driver's own interface.
    pub(super) GetOwnMtu = "get own MTU", Get, 0x900, 2, 1: () => u32;
}

/// A driver with commands of its own, one of which queries the stack.
#[derive(Default)]
struct Driver {
    number: Mutex<u32>,
    own: OnceLock<Arc<File>>,
}

impl Controller for Driver {
    fn kind(&self) -> Kind {
        Kind::Other
    }

    fn control(&self, command: CommandId, input: &[u8], output: &mut Vec<u8>) -> Result<()> {
        match command {
            GetNumber::ID => execute::<GetNumber>(input, output, |()| Ok(*self.number.lock().unwrap())),
            SetNumber::ID => execute::<SetNumber>(input, output, |number| {
                if number == 13 {
                    return Err(Error::InvalidArgument);
                }
                *self.number.lock().unwrap() = number;
                Ok(())
            }),
            GetOwnMtu::ID => execute::<GetOwnMtu>(input, output, |()| self.own.get().unwrap().control::<GetMtu>(&())),
            _ => Err(Error::NotSupported),
        }
    }
}

fn with_driver() -> (World, Arc<Driver>) {
    let world = World::new();
    let driver = Arc::new(Driver::default());
    let config = InterfaceConfig { controller: Some(driver.clone()), ..InterfaceConfig::default() };
    world.manager.mount_interface("wire0", world.hub.port(), config).unwrap();
    (world, driver)
}

#[test]
fn commands_that_the_stack_does_not_know_go_to_the_driver() {
    let (world, _) = with_driver();
    let file = world.open("wire0", Access::READ_WRITE);
    assert_eq!(file.control::<GetKind>(&()), Ok(Kind::Other), "the driver says what it is");
    assert_eq!(file.control::<SetNumber>(&7), Ok(()));
    assert_eq!(file.control::<SetNumber>(&13), Err(Error::InvalidArgument));
    assert_eq!(file.control::<GetNumber>(&()), Ok(7));
    assert_eq!(file.0.control(GetNumber::ID.to_raw(), &[1], &mut Vec::new()), Err(Error::InvalidArgument));
    assert_eq!(world.open("wire0", Access::READ).control::<SetNumber>(&8), Err(Error::AccessDenied));
    assert_eq!(world.file().control::<GetNumber>(&()), Err(Error::NotSupported), "another driver");

    world.manager.unmount_interface("wire0").unwrap();
    assert_eq!(file.control::<GetNumber>(&()), Err(Error::NotFound), "a driver without interface is not asked");
}

/// The driver queries the stack with a non-blocking file while it executes a command: if a lock were held, the query
/// would fail as busy.
#[test]
fn a_driver_answers_with_no_lock_held() {
    let (world, driver) = with_driver();
    let without_waiting = Access { non_blocking: true, ..Access::READ };
    driver.own.set(Arc::new(world.open("wire0", without_waiting))).unwrap();
    assert_eq!(world.open("wire0", Access::READ).control::<GetOwnMtu>(&()), Ok(1500));
}

#[test]
fn the_included_drivers_execute_their_own_commands() {
    let world = World::new();
    let file = world.file();
    assert_eq!(file.control::<hub::GetPorts>(&()), Ok(1));
    assert_eq!(file.control::<hub::GetOptions>(&()).unwrap().queue, 512);
    assert_eq!(file.control::<hub::GetStatistics>(&()), Ok(world.hub.statistics()));
    let lo = world.open("lo", Access::READ);
    assert_eq!(lo.control::<loopback::GetQueueLength>(&()), Ok(256));
    assert_eq!(lo.control::<hub::GetPorts>(&()), Err(Error::NotSupported));

    // When a command pulls the cable out, the stack notices it and reports it.
    let mut watch = world.interface().watch();
    for link in [Link::Down, Link::Up] {
        assert_eq!(file.control::<hub::SetCable>(&link), Ok(()));
        world.simulation.run_ready();
        assert_eq!(world.interface().link(), link);
        let told = watch.try_next().unwrap();
        assert!(matches!(&told, Notice::Changed(event) if event.change == Change::Link(link)), "{told:?}");
    }
}

/// A device that queries its own interface by a device file whenever it is polled for frames, which is under the
/// stack's lock.
struct Curious {
    pool: Pool,
    file: Arc<OnceLock<File>>,
    answers: Arc<Mutex<Vec<Result<u32>>>>,
}

impl Device for Curious {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            medium: Medium::Ip,
            mtu: 1500,
            checksums: Checksums::Computed,
            max_burst: Some(3),
            lossless: false,
        }
    }

    fn receive(&mut self, _: Instant) -> io::Result<Option<Frame>> {
        if let Some(file) = self.file.get() {
            let mut answers = self.answers.lock().unwrap();
            answers.push(file.control::<GetMtu>(&()));
            answers.push(file.control::<GetNumber>(&()));
        }
        Ok(None)
    }

    fn allocate(&mut self, _: Instant, length: usize) -> Option<Frame> {
        Some(self.pool.frame(length))
    }

    fn transmit(&mut self, _: Instant, _: Frame) -> io::Result<()> {
        Ok(())
    }

    fn poll_readable(&mut self, _: &mut task::Context<'_>) -> Poll<()> {
        Poll::Pending
    }

    fn poll_writable(&mut self, _: &mut task::Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }

    fn driver(&self) -> &'static str {
        "curious"
    }
}

#[test]
fn a_busy_stack_is_an_error_for_a_file_that_does_not_wait() {
    let world = World::new();
    let (file, answers) = (Arc::new(OnceLock::new()), Arc::new(Mutex::default()));
    let device = Curious { pool: Pool::new(2048, 4), file: file.clone(), answers: Arc::clone(&answers) };
    let interface = world.manager.mount_interface("wire0", device, InterfaceConfig::default()).unwrap();
    assert_eq!(interface.maximum_burst_size(), Some(3));
    let without_waiting = Access { non_blocking: true, ..Access::READ_WRITE };
    file.set(world.open("wire0", without_waiting)).unwrap();
    interface.set_state(State::Down);
    interface.set_state(State::Up);
    world.simulation.run_ready();
    let answers = answers.lock().unwrap();
    assert!(!answers.is_empty());
    assert!(answers.iter().all(|answer| *answer == Err(Error::ResourceBusy)), "{answers:?}");
    // The stack is not busy now.
    let file = world.open("wire0", without_waiting);
    assert_eq!(file.control::<GetState>(&()), Ok(State::Up));
    assert_eq!(file.control::<SetMtu>(&1400), Ok(()));
    assert_eq!(file.control::<ListAddresses>(&()), Ok(Vec::new()));
}

/// A device that takes no frames until it is released, and counts how often it is asked for room.
struct Jammed {
    pool: Pool,
    open: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    waiting: Arc<Mutex<Option<task::Waker>>>,
}

impl Device for Jammed {
    fn capabilities(&self) -> Capabilities {
        Capabilities { medium: Medium::Ip, mtu: 1500, checksums: Checksums::Computed, max_burst: None, lossless: false }
    }

    fn receive(&mut self, _: Instant) -> io::Result<Option<Frame>> {
        Ok(None)
    }

    fn allocate(&mut self, _: Instant, length: usize) -> Option<Frame> {
        self.open.load(Ordering::Relaxed).then(|| self.pool.frame(length))
    }

    fn transmit(&mut self, _: Instant, _: Frame) -> io::Result<()> {
        Ok(())
    }

    fn poll_readable(&mut self, _: &mut task::Context<'_>) -> Poll<()> {
        Poll::Pending
    }

    fn poll_writable(&mut self, context: &mut task::Context<'_>) -> Poll<()> {
        assert!(self.asked.fetch_add(1, Ordering::Relaxed) < 100, "the runner does not come to rest");
        *self.waiting.lock().unwrap() = Some(context.waker().clone());
        if self.open.load(Ordering::Relaxed) { Poll::Ready(()) } else { Poll::Pending }
    }

    fn driver(&self) -> &'static str {
        "jammed"
    }
}

/// The device is full when the interface goes down, and has room again while it is down: this must not wake the runner
/// again and again.
#[test]
fn a_device_that_has_room_again_while_the_interface_is_down_is_not_polled() {
    let world = World::new();
    let (open, asked, waiting) =
        (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default(), Arc::<Mutex<Option<task::Waker>>>::default());
    let device =
        Jammed { pool: Pool::new(2048, 4), open: open.clone(), asked: asked.clone(), waiting: Arc::clone(&waiting) };
    let config = InterfaceConfig { addresses: vec!["10.9.0.1/24".parse().unwrap()], ..InterfaceConfig::default() };
    let interface = world.manager.mount_interface("wire0", device, config).unwrap();
    let socket = UdpSocket::bind(&interface.network(), ([10, 9, 0, 1], 0).into()).unwrap();
    world.simulation.block_on(async {
        // The stack queues a few datagrams for the device; then the sender waits.
        while socket.try_send_to(b"x", ([10, 9, 0, 2], 9).into()).is_ok() {}
        let sending = std::pin::pin!(socket.send_to(b"x", ([10, 9, 0, 2], 9).into()));
        assert!(futures_util::future::poll_immediate(sending).await.is_none(), "there is no room");
    });
    world.simulation.run_ready();
    interface.set_state(State::Down);
    open.store(true, Ordering::Relaxed);
    waiting.lock().unwrap().take().expect("it waits for room").wake();
    world.simulation.run_ready();
    interface.set_state(State::Up);
    world.simulation.run_ready();
    let sent = world.simulation.block_on(socket.send_to(b"x", ([10, 9, 0, 2], 9).into()));
    assert_eq!(sent, Ok(1));
}
