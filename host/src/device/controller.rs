//! The driver's side of the control plane.

use xila_network_commands::command::{decode, encode};
use xila_network_commands::interface::Kind;
use xila_network_commands::{Command, CommandId, InvalidPayload};

use super::{Device, Medium};
use crate::error::{Error, Result};

/// Says what a device is, and answers the commands that only its driver knows.
///
/// It is called with no lock held, from any thread, as often as anyone asks. Commands are defined with
/// [`define_command!`](xila_network_commands::define_command), in groups from
/// [`CommandId::FIRST_DRIVER_GROUP`] on.
pub trait Controller: Send + Sync + 'static {
    /// What the device is.
    fn kind(&self) -> Kind;

    /// Executes a command: decodes its payload from `input`, appends what comes out to `output`.
    ///
    /// # Errors
    /// [`Error::NotSupported`] for a command that is not known; [`Error::InvalidArgument`] for an input that is none of
    /// it; what the command fails with.
    fn control(&self, command: CommandId, input: &[u8], output: &mut Vec<u8>) -> Result<()>;
}

/// Executes a command of a driver: decodes what goes in, encodes what comes out.
///
/// # Errors
/// [`Error::InvalidArgument`] for an input that is none of the command; what it fails with.
pub fn execute<C: Command>(
    input: &[u8],
    output: &mut Vec<u8>,
    operation: impl FnOnce(C::Input) -> Result<C::Output>,
) -> Result<()> {
    let answer = operation(decode(input)?)?;
    output.extend(encode(&answer));
    Ok(())
}

/// The controller of a device that has no commands of its own.
#[derive(Clone, Copy, Debug)]
pub struct Plain(Kind);

impl Plain {
    /// One that says what follows from the device's properties.
    pub fn of(device: &(impl Device + ?Sized)) -> Self {
        Self(match device.capabilities().medium {
            _ if device.loops_back() => Kind::Loopback,
            Medium::Ethernet => Kind::Ethernet,
            Medium::Ip => Kind::Ip,
        })
    }
}

impl From<InvalidPayload> for Error {
    fn from(InvalidPayload: InvalidPayload) -> Self {
        Self::InvalidArgument
    }
}

impl Controller for Plain {
    fn kind(&self) -> Kind {
        self.0
    }

    fn control(&self, _: CommandId, _: &[u8], _: &mut Vec<u8>) -> Result<()> {
        Err(Error::NotSupported)
    }
}
