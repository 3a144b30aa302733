//! How errors are declared and become one another.

/// Declares the error of an operation: an enum of causes, each of which [`Error`](super::Error) has by the same name.
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

/// Declares the error of an operation that fails for one cause only. After the colon, the name of that cause in
/// [`Error`](super::Error) and in the errors of those operations of which this one is a step.
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

/// What the only cause of a step is called in the errors of the operations that take the step.
macro_rules! cause_of {
    ($step:ident: $cause:ident of $($operation:ty),+) => {
        $(impl From<$step> for $operation {
            fn from($step: $step) -> Self {
                Self::$cause
            }
        })+
    };
}

/// The causes of a step are called the same in the error of an operation that takes the step. All of them are written down,
/// or this does not compile.
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

/// The I/O error of an operation is of the kind that its cause has, and tells the operation's own words.
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
