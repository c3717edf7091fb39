//! How a struct of settings says what its fields hold before the file is read.

/// Defines a struct whose fields are written as `name: Type = blank`, with a constructor `blank`.
///
/// A field and its blank stand on one line, so a key needs no third place beside its row and its
/// field.
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
            /// Values as strict as they get, which the defaults of the key table overwrite.
            pub(in crate::config) fn blank() -> Self {
                Self { $( $field: $blank, )+ }
            }
        }
    };
}

pub(super) use settings;
