//! The macro that defines a struct of settings together with its blank values.

/// Defines a struct with a constructor `blank`. Each field is written as `name: Type = blank
/// value`, so that a new key needs only a row of the key table and a field.
macro_rules! settings {
    (
        $(#[$about:meta])*
        pub struct $name:ident {
            $( $(#[$says:meta])* $access:vis $field:ident: $type:ty = $blank:expr, )+
        }
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone)]
        pub struct $name {
            $( $(#[$says])* $access $field: $type, )+
        }

        impl $name {
            /// Returns the strictest values, which the defaults of the key table overwrite.
            pub(in crate::config) fn blank() -> Self {
                Self { $( $field: $blank, )+ }
            }
        }
    };
}

pub(super) use settings;
