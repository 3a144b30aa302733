//! Where interfaces are remembered from one run to the next: a folder of the user's.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use crate::platform::Memory;
use crate::platform::memory::Folder;

/// The folder of this program among those for what programs keep.
const NAME: &str = "xila-net";

/// The memory of the user who runs this; none where nothing says where such things are kept.
pub(super) fn of_the_user() -> Option<Arc<dyn Memory>> {
    let folder = folder(env::var_os("XDG_STATE_HOME"), env::var_os("HOME"));
    match &folder {
        Some(folder) => tracing::debug!(folder = %folder.display(), "interfaces are remembered"),
        None => tracing::info!("nothing is remembered of interfaces: neither XDG_STATE_HOME nor HOME names a folder"),
    }
    folder.map(|folder| -> Arc<dyn Memory> { Arc::new(Folder::new(folder)) })
}

/// `$XDG_STATE_HOME/xila-net`, or `~/.local/state/xila-net`, as the XDG Base Directory Specification has it: paths that are
/// not absolute count for nothing.
fn folder(state: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    let absolute = |path: Option<OsString>| path.map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute(state).or_else(|| Some(absolute(home)?.join(".local/state")));
    state.map(|state| state.join(NAME))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_the_users_for_state_and_there_is_none_for_who_has_no_home() {
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
