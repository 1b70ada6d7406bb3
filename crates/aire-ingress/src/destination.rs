use aire_types::AppName;

/// Why a host that an application asked for is not an app of the mesh.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a name of the mesh (APP.mesh)")]
pub struct Foreign(pub String);

/// Reads `APP.mesh` or `APP`, in any case and with or without the final dot of a full DNS name.
///
/// # Errors
/// The host is some other domain, an address, or no name at all: the application or its configuration is to blame.
pub fn parse_destination(host: &str) -> Result<AppName, Foreign> {
    let foreign = || Foreign(host.chars().filter(|c| !c.is_control()).take(100).collect());
    let lower = host.to_ascii_lowercase();
    let name = lower.strip_suffix('.').unwrap_or(&lower);
    AppName::new(name.strip_suffix(".mesh").unwrap_or(name)).map_err(|_| foreign())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apps_are_found_in_every_spelling() {
        for text in ["echo", "echo.mesh", "ECHO.Mesh", "echo.mesh.", "Echo."] {
            assert_eq!(parse_destination(text).unwrap().as_str(), "echo", "{text}");
        }
        assert_eq!(parse_destination("mesh").unwrap().as_str(), "mesh");
    }

    #[test]
    fn everything_else_is_foreign() {
        for text in [
            "",
            ".",
            ".mesh",
            "example.com",
            "a.b.mesh",
            "10.0.0.1",
            "::1",
            "[::1]",
            "echo.mesh..",
            "echo_.mesh",
            "écho.mesh",
        ] {
            assert!(parse_destination(text).is_err(), "{text}");
        }
        assert_eq!(parse_destination("a\r\nb.com"), Err(Foreign("ab.com".into())));
    }
}
