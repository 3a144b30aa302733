use core::future::{Future, poll_fn};
use core::time::Duration;
use std::sync::{Arc, Mutex};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use xila_network_host::Manager;
use xila_network_host::commands::commands::{GetMtu, ListAddresses, SetMtu};

use crate::adapters::{self, node};
use crate::support::guest;
use crate::xila::file_system::{DirectBaseOperations, DirectCharacterDevice, Error, MountOperations, Result, Size};
use crate::xila::network::*;
use crate::xila::task;
use crate::xila::virtual_file_system::File;
use crate::{System, mount_interfaces, start};

/// A device that remembers what is written to it.
#[derive(Clone, Default)]
struct Record(Arc<Mutex<Vec<u8>>>);

impl Record {
    const PATH: &'static str = "/devices/record";

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl DirectBaseOperations for Record {
    fn read(&self, _: &mut [u8], _: Size) -> Result<usize> {
        Err(Error::UnsupportedOperation)
    }

    fn write(&self, buffer: &[u8], _: Size) -> Result<usize> {
        self.0.lock().unwrap().extend_from_slice(buffer);
        Ok(buffer.len())
    }
}

impl MountOperations for Record {}
impl DirectCharacterDevice for Record {}

/// A system with a network of `lo`, `a` and `b`, and the output of its programs.
struct World {
    system: System,
    manager: Manager,
    record: Record,
}

impl World {
    /// Runs `test` as the first task of a system.
    fn run<Fut: Future<Output = ()> + Send + 'static>(test: impl FnOnce(Self) -> Fut + Send + 'static) {
        task::run(|tasks, task, executor| async move {
            let system = System::start(tasks, task, executor).await.unwrap();
            let manager = Manager::new(adapters::platform(&system).await.unwrap());
            mount_interfaces(&manager).unwrap();
            let record = Record::default();
            system.files.mount_character_device(task, Record::PATH, record.clone()).await.unwrap();
            test(Self { system, manager, record }).await;
        });
    }

    async fn start(&self, interfaces: &[&str], program: &str, arguments: &[&str]) -> task::JoinHandle<Ending> {
        let Self { system, manager, .. } = self;
        start(system, manager, interfaces, &guest(program), arguments, Record::PATH).await.unwrap()
    }

    async fn open(&self, interface: &str) -> Result<File> {
        File::open(self.system.files, self.system.task, &format!("/devices/network/{interface}")).await
    }

    /// The names of the tasks that the system's first task has started.
    fn tasks(&self) -> Vec<String> {
        self.system.tasks.children(self.system.task)
    }
}

type Ending = core::result::Result<(), core::num::NonZeroUsize>;

async fn until(mut so: impl FnMut() -> bool) {
    while !so() {
        task::yield_now().await;
    }
}

#[test]
fn a_client_sleeps_until_its_server_is_there_and_both_talk_over_their_interfaces() {
    World::run(|world| async move {
        let arguments = ["10.0.0.1:80", "300000"];
        let interface = world.manager.interface("b").unwrap();
        let before = interface.statistics().received.packets;
        let client = world.start(&["b"], "std_tcp_client", &arguments).await;
        // An ARP reply and a reset.
        until(|| interface.statistics().received.packets >= before + 2).await;
        let server = world.start(&["a"], "std_tcp_server", &arguments).await;
        let endings = (client.join().await, server.join().await);
        assert_eq!(endings, (Ok(()), Ok(())), "{}", world.record.text());
        assert!(world.record.text().contains("300000 bytes to 10.0.0.1:80 and back"), "{}", world.record.text());
    });
}

#[test]
fn a_program_of_the_standard_library_times_out() {
    World::run(|world| async move {
        let ending = world.start(&["lo"], "std_tcp_timeouts", &[]).await.join().await;
        assert_eq!(ending, Ok(()), "{}", world.record.text());
    });
}

#[test]
fn a_program_waits_for_an_answer_that_does_not_come_and_one_that_does() {
    World::run(|world| async move {
        let silent = world.start(&["a"], "ping", &["-c", "1", "-W", "0.2", "10.0.0.99"]).await;
        assert!(silent.join().await.is_err());
        let text = world.record.text();
        assert!(text.contains("1 packets transmitted, 0 received, 100% packet loss"), "{text}");
        let answered = world.start(&["a"], "ping", &["-c", "3", "-i", "0.01", "10.0.0.2"]).await;
        assert_eq!(answered.join().await, Ok(()));
        let text = world.record.text();
        assert!(text.contains("3 packets transmitted, 3 received, 0% packet loss"), "{text}");
    });
}

#[test]
fn timers_polled_with_other_wakers_fire_in_order() {
    World::run(|world| async move {
        let clock = world.manager.platform().clock.clone();
        let start = clock.now();
        let timers: FuturesUnordered<_> = [30, 10, 20]
            .map(|milliseconds| {
                let mut timer = clock.timer();
                timer.set(Some(start + Duration::from_millis(milliseconds)));
                async move {
                    poll_fn(|context| timer.poll(context)).await;
                    milliseconds
                }
            })
            .into_iter()
            .collect();
        let fired = timers.inspect(|after| assert!(clock.now() >= start + Duration::from_millis(*after)));
        assert_eq!(fired.collect::<Vec<_>>().await, [10, 20, 30]);
    });
}

#[test]
fn interfaces_are_files_that_commands_go_through() {
    World::run(|world| async move {
        let names = world.system.files.entries("/devices/network").await;
        assert_eq!(names, ["a", "b", "lo"]);
        let mut file = world.open("a").await.unwrap();
        node::control::<SetMtu>(&mut file, 1400).await.unwrap();
        assert_eq!(node::control::<GetMtu>(&mut file, ()).await, Ok(1400));
        assert_eq!(world.manager.interface("a").unwrap().mtu(), 1400);
        assert_eq!(node::control::<SetMtu>(&mut file, 100).await, Err(Error::InvalidParameter));
        let addresses = node::control::<ListAddresses>(&mut file, ()).await.unwrap();
        assert_eq!(addresses[0].cidr, "10.0.0.1/24".parse().unwrap());
    });
}

#[test]
fn commands_of_xilas_own_interfaces_work_unchanged() {
    World::run(|world| async move {
        let mut file = world.open("a").await.unwrap();
        let interface = world.manager.interface("a").unwrap();

        assert_eq!(file.control(GET_STATE, &()).await, Ok(true));
        file.control(SET_STATE, &false).await.unwrap();
        assert_eq!(file.control(GET_STATE, &()).await, Ok(false));
        file.control(SET_STATE, &true).await.unwrap();
        assert_eq!(file.control(IS_LINK_UP, &()).await, Ok(true));
        assert_eq!(file.control(GET_MAXIMUM_TRANSMISSION_UNIT, &()).await, Ok(1514));
        assert_eq!(file.control(GET_MAXIMUM_BURST_SIZE, &()).await, Ok(None));
        let hardware_address = [2, 0, 0, 0, 0, 7];
        file.control(SET_HARDWARE_ADDRESS, &hardware_address).await.unwrap();
        assert_eq!(file.control(GET_HARDWARE_ADDRESS, &()).await, Ok(hardware_address));
        assert_eq!(file.control(SET_HARDWARE_ADDRESS, &[1; 6]).await, Err(Error::InvalidParameter));
        file.control(SET_DHCP_STATE, &true).await.unwrap();
        assert_eq!(file.control(GET_DHCP_STATE, &()).await, Ok(true));
        file.control(SET_DHCP_STATE, &false).await.unwrap();
        assert_eq!(file.control(GET_DHCP_STATE, &()).await, Ok(false));

        let address = IpCidr { address: IpAddress::IPv4([192, 0, 2, 1]), prefix_length: 24 };
        file.control(ADD_IP_ADDRESS, &address).await.unwrap();
        assert_eq!(file.control(ADD_IP_ADDRESS, &address).await, Err(Error::AlreadyExists));
        let too_long = IpCidr { prefix_length: 33, ..address };
        assert_eq!(file.control(ADD_IP_ADDRESS, &too_long).await, Err(Error::InvalidParameter));
        assert_eq!(file.control(GET_IP_ADDRESS_COUNT, &()).await, Ok(2));
        assert_eq!(file.control(GET_IP_ADDRESS, &1).await, Ok(address));
        assert_eq!(file.control(GET_IP_ADDRESS, &2).await, Err(Error::InvalidParameter));
        file.control(REMOVE_IP_ADDRESS, &1).await.unwrap();
        assert_eq!(interface.addresses().len(), 1);

        let server = IpAddress::IPv6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 53]);
        file.control(ADD_DNS_SERVER, &server).await.unwrap();
        assert_eq!(file.control(GET_DNS_SERVER_COUNT, &()).await, Ok(1));
        assert_eq!(file.control(GET_DNS_SERVER, &0).await, Ok(server));
        file.control(REMOVE_DNS_SERVER, &0).await.unwrap();
        assert_eq!(interface.dns_servers().len(), 0);
    });
}

#[test]
fn routes_of_xila_expire_at_their_time() {
    World::run(|world| async move {
        let mut file = world.open("a").await.unwrap();
        let network = IpCidr { address: IpAddress::IPv4([198, 51, 100, 0]), prefix_length: 24 };
        let route = Route { cidr: network, via_router: IpAddress::IPv4([10, 0, 0, 2]), ..Route::default() };
        file.control(ADD_ROUTE, &route).await.unwrap();
        assert_eq!(file.control(GET_ROUTE_COUNT, &()).await, Ok(1));
        assert_eq!(file.control(GET_ROUTE, &0).await, Ok(route));

        let end = embassy_time::Instant::now() + embassy_time::Duration::from_secs(3600);
        file.control(ADD_ROUTE, &Route { expires_at: Some(end), ..route }).await.unwrap();
        let told = file.control(GET_ROUTE, &0).await.unwrap().expires_at.unwrap();
        assert!(told <= end + embassy_time::Duration::from_millis(1), "{told} is after {end}");
        assert!(told + embassy_time::Duration::from_secs(60) > end, "{told} is long before {end}");
        let past = Route { expires_at: Some(embassy_time::Instant::MIN), ..route };
        assert_eq!(file.control(ADD_ROUTE, &past).await, Err(Error::InvalidParameter));

        file.control(REMOVE_ROUTE, &0).await.unwrap();
        assert_eq!(file.control(REMOVE_ROUTE, &0).await, Err(Error::InvalidParameter));
        assert_eq!(file.control(GET_ROUTE_COUNT, &()).await, Ok(0));
    });
}

#[test]
fn an_unmounted_interface_leaves_no_task_and_its_files_fail() {
    World::run(|world| async move {
        let mut file = world.open("b").await.unwrap();
        let before = world.tasks().len();
        drop(world.manager.unmount_interface("b").unwrap());
        assert_eq!(file.control(GET_STATE, &()).await, Err(Error::NotMounted));
        assert_eq!(world.open("b").await.err(), Some(Error::NotFound));
        until(|| world.tasks().len() < before).await;
    });
}

#[test]
fn a_node_of_an_earlier_start_is_replaced_and_one_of_this_start_is_not() {
    World::run(|world| async move {
        let World { system, manager, record } = &world;
        let path = "/devices/network/lan";
        system.files.mount_character_device(system.task, path, record.clone()).await.unwrap();
        let device = manager.unmount_interface("b").unwrap();
        manager.mount_interface("lan", device, Default::default()).unwrap();
        let mut file = world.open("lan").await.unwrap();
        assert_eq!(file.control(GET_STATE, &()).await, Ok(true));

        let other = Manager::without_loopback(manager.platform().clone());
        let error =
            other.mount_interface("lan", xila_network_host::device::loopback::Loopback::new(), Default::default());
        assert!(matches!(error, Err(xila_network_host::MountError::FailedToMountDevice(_))));
    });
}
