use std::fs::File;
use std::io;
use std::net::Ipv4Addr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::namespace::{Namespace, Reaper};
use super::{Gate, Process, WanError, gate};

/// The device by which a host reaches the others.
pub(super) const DEVICE: &str = "wan0";

/// A host of the lab: a network namespace with one address. Clones are the same host.
#[derive(Clone, Debug)]
pub struct Host {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    name: String,
    address: Mutex<Ipv4Addr>,
    namespace: Namespace,
    /// The router before it, and its address there.
    router: Option<(Namespace, Ipv4Addr)>,
    folder: PathBuf,
}

impl Host {
    /// Host number `number` of a run, without its device yet.
    pub(super) fn new(
        reaper: &Reaper,
        number: usize,
        name: &str,
        folder: &Path,
        gate: Gate,
    ) -> Result<Self, WanError> {
        let namespace = reaper.namespace(name)?;
        namespace.settle()?;
        let mut address = Ipv4Addr::new(10, 77, (number / 250) as u8, (number % 250 + 1) as u8);
        let mut router = None;
        match gate {
            Gate::Open => {}
            Gate::InboundBlocked => gate::block_inbound(&namespace)?,
            Gate::Nat(nat) => {
                let (namespace, inside) = gate::router(reaper, &namespace, (number, name), nat)?;
                router = Some((namespace, address));
                address = inside;
            }
        }
        let address = Mutex::new(address);
        let inner = Inner { name: name.to_owned(), address, namespace, router, folder: folder.to_owned() };
        Ok(Host { inner: Arc::new(inner) })
    }

    /// The namespace that is joined to the network, and its address there.
    fn edge(&self) -> (&Namespace, Ipv4Addr) {
        match &self.inner.router {
            Some((router, outside)) => (router, *outside),
            None => (&self.inner.namespace, self.address()),
        }
    }

    /// The address by which the network knows the host: its own, or that of the NAT before it.
    pub fn outside(&self) -> Ipv4Addr {
        self.edge().1
    }

    /// Makes the host's device with `make`, which runs where the network is joined, and returns what that gives.
    pub(super) fn join<T: Send + 'static>(
        &self,
        make: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        self.edge().0.within(make)
    }

    /// Gives the device its address and brings it up.
    pub(super) fn configure_device(&self) -> Result<(), WanError> {
        let (namespace, address) = self.edge();
        namespace.ip(&format!(
            "addr add {address}/16 dev {DEVICE}\nlink set {DEVICE} mtu 1500 txqueuelen 2000 up\nroute add default dev {DEVICE}\n"
        ))
    }

    /// Takes the address away and gives another one; both.
    pub(super) fn readdress(&self) -> Result<(Ipv4Addr, Ipv4Addr), WanError> {
        let mut address = self.inner.address.lock().unwrap_or_else(PoisonError::into_inner);
        let [a, b, c, d] = address.octets();
        let new = Ipv4Addr::new(a, b, if c >= 128 { c - 127 } else { c + 128 }, d);
        let old = std::mem::replace(&mut *address, new);
        self.inner.namespace.ip(&format!(
            "addr del {old}/16 dev {DEVICE}\naddr add {new}/16 dev {DEVICE}\nroute add default dev {DEVICE}\n"
        ))?;
        Ok((old, new))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Its one address, 10.77.x.y, which [`crate::wan::Wan::readdress`] changes, or 192.168.x.2 behind a NAT.
    pub fn address(&self) -> Ipv4Addr {
        *self.inner.address.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The name of its network namespace, for `ip netns exec`.
    pub fn namespace_name(&self) -> &str {
        self.inner.namespace.name()
    }

    /// Where the output of its processes goes.
    pub(crate) fn folder(&self) -> &Path {
        &self.inner.folder
    }

    /// Runs `job` on a thread of its own inside the host; sockets that it opens belong to the host for good.
    ///
    /// # Errors
    /// No thread can be had. The thread's own result is an error when the namespace cannot be entered.
    pub fn enter<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<thread::JoinHandle<io::Result<T>>> {
        self.inner.namespace.enter(job)
    }

    /// Runs `job` inside the host and waits for what it returns.
    ///
    /// # Errors
    /// What `job` returns; the namespace cannot be entered; `job` panicked.
    pub fn within<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        self.inner.namespace.within(job)
    }

    /// Starts a process on the host. Its output goes to `NAME.out` and `NAME.err` in the folder of the run.
    ///
    /// # Errors
    /// The program or the files cannot be opened.
    pub fn spawn(&self, name: &str, mut command: Command) -> Result<Process, WanError> {
        let file = |ending: &str| self.inner.folder.join(format!("{name}.{ending}"));
        let create = |path: &PathBuf| {
            File::create(path).map_err(|source| WanError::io(format!("creating {}", path.display()), source))
        };
        let (stdout, stderr) = (file("out"), file("err"));
        command.stdin(Stdio::null()).stdout(create(&stdout)?).stderr(create(&stderr)?).process_group(0);
        let what = format!("starting {name} ({:?}) on {}", command.get_program(), self.name());
        // A child lives in the namespace of the thread that forks it.
        let child = self.within(move || command.spawn()).map_err(|source| WanError::io(what, source))?;
        Ok(Process::new(name, child, stdout, stderr))
    }

    /// Runs a process on the host to its end and collects its output.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn output(&self, mut command: Command) -> Result<Output, WanError> {
        let what = format!("running {:?} on {}", command.get_program(), self.name());
        command.stdin(Stdio::null());
        self.within(move || command.output()).map_err(|source| WanError::io(what, source))
    }
}
