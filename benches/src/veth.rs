//! Two network namespaces that are joined by a veth pair.

use std::process::Command;

use crate::apps::Result;
use crate::links::namespace::Namespace;

/// The address of the far end, at which no xila-net runs.
pub const FAR: &str = "10.9.0.1";
/// The address of the near end.
pub const NEAR: &str = "10.9.0.2";

/// Two namespaces, each with one end of the pair.
#[derive(Debug)]
pub struct Veth {
    /// Has the interface `far`, with the address [`FAR`].
    pub far: Namespace,
    /// Has the interface `near`, with the address [`NEAR`].
    pub near: Namespace,
}

impl Veth {
    /// Makes the namespaces and the link between them. `options` are those of `ip link set` for both interfaces, each
    /// after a space.
    ///
    /// # Errors
    /// Without the privileges for it.
    pub fn new(options: &str) -> Result<Self> {
        let (far, near) = (Namespace::new()?, Namespace::new()?);
        // The other namespace has no name; it is identified by a process in it.
        let mut keeper = near.run(|| Command::new("sleep").arg("60").spawn())?;
        let joined =
            far.batch("ip", &format!("link set lo up\nlink add far type veth peer name near netns {}\n", keeper.id()));
        keeper.kill()?;
        keeper.wait()?;
        joined?;
        far.batch("ip", &format!("address add {FAR}/24 dev far\nlink set far up{options}\n"))?;
        near.batch("ip", &format!("link set lo up\naddress add {NEAR}/24 dev near\nlink set near up{options}\n"))?;
        Ok(Self { far, near })
    }
}
