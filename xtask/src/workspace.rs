//! What cargo knows of the workspace.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use crate::Failure;

/// `cargo metadata --no-deps`, as much as is needed.
#[derive(Debug, Deserialize)]
pub(crate) struct Workspace {
    pub(crate) packages: Vec<Package>,
    pub(crate) workspace_root: PathBuf,
    pub(crate) target_directory: PathBuf,
}

/// One crate of ours.
#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) manifest_path: PathBuf,
    pub(crate) dependencies: Vec<Dependency>,
}

/// A dependency as declared.
#[derive(Debug, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// `None` for an ordinary one, else `dev` or `build`.
    pub(crate) kind: Option<String>,
}

impl Workspace {
    pub(crate) fn load() -> Result<Self, Failure> {
        let output = cargo()
            .args(["metadata", "--format-version", "1", "--no-deps"])
            .output()
            .map_err(|error| format!("cannot run cargo metadata: {error}"))?;
        if !output.status.success() {
            return Err(format!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr).trim()));
        }
        serde_json::from_slice(&output.stdout).map_err(|error| format!("cargo metadata: {error}"))
    }

    /// Builds a binary of the workspace and says where it is.
    pub(crate) fn build(&self, package: &str, release: bool) -> Result<PathBuf, Failure> {
        self.build_program(package, package, release)
    }

    /// Builds one program of `package`, and gives its path.
    pub(crate) fn build_program(
        &self,
        package: &str,
        program: &str,
        release: bool,
    ) -> Result<PathBuf, Failure> {
        let mut command = cargo();
        command.current_dir(&self.workspace_root).args(["build", "--quiet", "--package", package]);
        command.args(["--bin", program]);
        if release {
            command.arg("--release");
        }
        match command.status() {
            Ok(status) if status.success() => {}
            Ok(status) => return Err(format!("building {package}: {status}")),
            Err(error) => return Err(format!("cannot run cargo build: {error}")),
        }
        Ok(self.target_directory.join(if release { "release" } else { "debug" }).join(program))
    }
}

impl Package {
    /// Its folder.
    pub(crate) fn folder(&self) -> &Path {
        self.manifest_path.parent().unwrap_or(Path::new("."))
    }
}

/// The cargo that runs us.
pub(crate) fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}
