//! The macros that declare errors and the conversions between them.

/// Declares the error of an operation: an enum of causes. [`Error`](super::Error) has a variant with the same name for
/// each.
macro_rules! operation_error {
    (
        $(#[$attribute:meta])*
        pub enum $name:ident {
            $($(#[$of_cause:meta])* $cause:ident,)+
        }
    ) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
        #[non_exhaustive]
        $(#[$attribute])*
        pub enum $name {
            $($(#[$of_cause])* $cause,)+
        }

        #[cfg(test)]
        impl $name {
            /// Every cause.
            pub(crate) const ALL: &[Self] = &[$(Self::$cause),+];
        }

        impl From<$name> for $crate::error::Error {
            fn from(error: $name) -> Self {
                match error {
                    $($name::$cause => Self::$cause,)+
                }
            }
        }

        becomes_io_error!($name);
    };
}

/// Declares the error of an operation that fails for one cause only. The name of that cause in [`Error`](super::Error),
/// and in the errors of the operations that use this one as a step, follows the colon.
macro_rules! sole_cause {
    (
        $(#[$attribute:meta])*
        pub struct $name:ident: $cause:ident of $($operation:ident),*;
    ) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
        $(#[$attribute])*
        pub struct $name;

        cause_of!($name: $cause of $($operation,)* $crate::error::Error);
        becomes_io_error!($name);
    };
}

/// Converts the error of a step with one cause to the errors of the operations that use the step.
macro_rules! cause_of {
    ($step:ident: $cause:ident of $($operation:ty),+) => {
        $(impl From<$step> for $operation {
            fn from($step: $step) -> Self {
                Self::$cause
            }
        })+
    };
}

/// Converts the error of a step to that of an operation that uses the step, with the same names of causes. All causes
/// must be listed, or this does not compile.
macro_rules! causes_of {
    ($step:ident of $operation:ident: $($cause:ident),+) => {
        impl From<$step> for $operation {
            fn from(error: $step) -> Self {
                match error {
                    $($step::$cause => Self::$cause,)+
                }
            }
        }
    };
}

/// Converts the error of an operation to an I/O error of the cause's kind, with the text of the operation's error.
macro_rules! becomes_io_error {
    ($name:ident) => {
        impl From<$name> for std::io::Error {
            fn from(error: $name) -> Self {
                Self::new($crate::error::Error::from(Clone::clone(&error)).kind(), error)
            }
        }
    };
}

pub(crate) use causes_of;
