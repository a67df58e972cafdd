//! Why the directory of a log cannot be used: what starting, founding and restoring have in common.

use ledger_core::Hint;

use crate::config::ConfigError;
use crate::index::IndexError;
use crate::recovery::RecoveryError;
use crate::store::StoreError;

/// Why the directory of a log cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogDirError {
    /// The configuration or a key file.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The files of the log.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The index, which is derived from the entries.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The stored log is not the one that this node promised.
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
}

impl Hint for LogDirError {
    fn hint(&self) -> &'static str {
        match self {
            LogDirError::Config(error) => error.hint(),
            LogDirError::Store(error) => error.hint(),
            LogDirError::Index(_) => "run ledger-node reindex; the index is derived",
            LogDirError::Recovery(error) => error.hint(),
        }
    }
}

/// Lets `?` make an error with a variant `Dir` out of each error of a log's directory.
macro_rules! from_log_dir {
    ($outer:ty) => {
        $crate::log_dir::from_log_dir!($outer: $crate::config::ConfigError);
        $crate::log_dir::from_log_dir!($outer: $crate::store::StoreError);
        $crate::log_dir::from_log_dir!($outer: $crate::index::IndexError);
        $crate::log_dir::from_log_dir!($outer: $crate::recovery::RecoveryError);
    };
    ($outer:ty: $inner:ty) => {
        impl From<$inner> for $outer {
            fn from(error: $inner) -> $outer {
                <$outer>::Dir(error.into())
            }
        }
    };
}
pub(crate) use from_log_dir;
