//! The folder of the user where interfaces are remembered from one run to the next.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use crate::platform::Memory;
use crate::platform::memory::Folder;

/// The name of this program's folder in the user's folder for state.
const NAME: &str = "xila-net";

/// The memory of the user who runs this; `None` if the environment does not name a folder for it.
pub(super) fn of_the_user() -> Option<Arc<dyn Memory>> {
    let folder = folder(env::var_os("XDG_STATE_HOME"), env::var_os("HOME"));
    match &folder {
        Some(folder) => tracing::debug!(folder = %folder.display(), "interfaces are remembered"),
        None => tracing::info!("nothing is remembered of interfaces: neither XDG_STATE_HOME nor HOME names a folder"),
    }
    folder.map(|folder| -> Arc<dyn Memory> { Arc::new(Folder::new(folder)) })
}

/// `$XDG_STATE_HOME/xila-net`, or `~/.local/state/xila-net`, by the XDG Base Directory Specification. Relative paths
/// are ignored.
fn folder(state: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    let absolute = |path: Option<OsString>| path.map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute(state).or_else(|| Some(absolute(home)?.join(".local/state")));
    state.map(|state| state.join(NAME))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_in_the_users_state_folder_and_needs_a_home() {
        let of = |state: Option<&str>, home: Option<&str>| {
            folder(state.map(OsString::from), home.map(OsString::from)).map(|path| path.display().to_string())
        };
        assert_eq!(of(Some("/state"), Some("/home/a")).as_deref(), Some("/state/xila-net"));
        assert_eq!(of(None, Some("/home/a")).as_deref(), Some("/home/a/.local/state/xila-net"));
        assert_eq!(of(Some(""), Some("/home/a")).as_deref(), Some("/home/a/.local/state/xila-net"));
        assert_eq!(of(Some("state"), Some("/home/a")).as_deref(), Some("/home/a/.local/state/xila-net"));
        assert_eq!((of(None, None), of(Some("state"), Some("home")), of(None, Some(""))), (None, None, None));
    }
}
