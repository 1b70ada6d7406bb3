use std::sync::OnceLock;

use cedar_policy::{Schema, Validator};

/// The validator for what the crate documentation's table says. Built once.
pub(crate) fn validator() -> &'static Validator {
    static VALIDATOR: OnceLock<Validator> = OnceLock::new();
    VALIDATOR.get_or_init(|| {
        let (schema, _warnings) = Schema::from_cedarschema_str(include_str!("schema.cedarschema"))
            .expect("invariant: the built-in schema is a constant that the tests parse");
        Validator::new(schema)
    })
}
