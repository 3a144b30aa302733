//! `xila:network/control`.
//!
//! Every function checks the guest's rights first, then its arguments, and only then looks up the interface. An open
//! device does the same. So a guest without the right to read learns nothing.

mod convert;
mod interface;
mod watch;

use wasmtime::component::{Accessor, Resource, StreamReader};
use xila_network_commands::CommandId;

pub use self::interface::NetworkInterface;
use self::watch::WatchProducer;
use super::types::NetworkError;
use crate::control::DIRECTORY;
use crate::error::{Error, Result};
use crate::platform::{Access, DeviceFile};
use crate::policy::Charge;
use crate::wasm::bindings::control::{
    Access as Rights, Host, HostDevice, HostDeviceWithStore, HostWithStore, InterfaceEvent,
};
use crate::wasm::failure::{get, push};
use crate::wasm::{HasNetwork, NetworkCtxView};

/// The maximum length of a command's payload in bytes. Those of the stack's own commands take a few bytes, and no
/// command of a driver should need more than this.
const MOST_INPUT: usize = 64 << 10;

/// The resource of a `device` handle.
pub struct Device {
    file: DeviceFile,
    interface: String,
    _charge: Charge,
}

impl Host for NetworkCtxView<'_> {
    fn list(&mut self) -> Result<Vec<String>, NetworkError> {
        self.ctx.check(Access::READ)?;
        self.ctx.check_command_for_all("list")?;
        Ok(self.ctx.interfaces())
    }
}

impl<T: Send + 'static> HostWithStore<T> for HasNetwork {
    fn watch(
        mut access: wasmtime::component::Access<'_, T, Self>,
    ) -> Result<StreamReader<InterfaceEvent>, NetworkError> {
        let view = access.get();
        view.ctx.check(Access::READ)?;
        view.ctx.check_command_for_all("watch")?;
        let network = view.ctx.network(None)?;
        let charge = view.ctx.quota().charge_watch()?;
        Ok(StreamReader::new(&mut access, WatchProducer::new(network.watch(), charge))?)
    }
}

impl<T: Send + 'static> HostDeviceWithStore<T> for HasNetwork {
    /// The stack answers under a lock that is held briefly. A driver's own commands are executed here too, on the
    /// thread that runs the guest, and may take as long as the driver needs.
    async fn control(
        accessor: &Accessor<T, Self>,
        device: Resource<Device>,
        command: u32,
        input: Vec<u8>,
    ) -> Result<Vec<u8>, NetworkError> {
        let file = accessor.with(|mut access| {
            let view = access.get();
            let Device { file, interface, .. } = get(view.table, &device)?;
            view.ctx.check_command(interface, CommandId::from_raw(command))?;
            Ok::<_, NetworkError>(file.clone())
        })?;
        if input.len() > MOST_INPUT {
            return Err(Error::InvalidArgument.into());
        }
        let mut output = Vec::new();
        file.control(command, &input, &mut output)?;
        Ok(output)
    }
}

impl HostDevice for NetworkCtxView<'_> {
    fn open(&mut self, path: String, access: Rights) -> Result<Resource<Device>, NetworkError> {
        self.ctx.rights()?;
        // Other devices of the host do not exist for guests.
        let name = path.strip_prefix(DIRECTORY).and_then(|rest| rest.strip_prefix('/')).ok_or(Error::NotFound)?;
        let manager = self.ctx.manager_of(name)?;
        let access = Access::from(access);
        self.ctx.check(access)?;
        let charge = self.ctx.quota().charge_file()?;
        let file = manager.devices().open(&path, access)?;
        Ok(push(self.table, Device { file, interface: name.to_owned(), _charge: charge })?)
    }

    fn drop(&mut self, device: Resource<Device>) -> wasmtime::Result<()> {
        self.table.delete(device)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
