use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use aire_types::NodeName;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::waiting::{Waiting, until};
use crate::{Discovery, Finding, Found, Next, Own, Pace, Source, Trouble};

/// The most peers that are kept: those that were seen last.
pub const MAX_PEERS: usize = 256;
/// The most addresses that are kept for one peer.
pub const MAX_ADDRESSES: usize = 8;
/// The largest file that is read, bytes.
const MAX_FILE: u64 = 1 << 20;
const VERSION: u32 = 1;

/// A peer that this agent was linked with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CachedPeer {
    /// Its name.
    pub node: NodeName,
    /// Where it was reached, best first.
    pub addresses: Vec<SocketAddr>,
    /// When it was last linked, seconds since 1970.
    pub seen_unix_s: u64,
}

#[derive(Serialize, Deserialize)]
struct Content {
    version: u32,
    peers: Vec<CachedPeer>,
}

/// Why the peer cache could not be read or written. It only makes the next start slower.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// This machine would not.
    #[error("the peer cache {path} cannot be {done}: {source}; check the state directory's owner and space")]
    File {
        /// Which file.
        path: PathBuf,
        /// Read or written.
        done: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Somebody else wrote to it, or the disk failed.
    #[error("the peer cache {path} is damaged ({why}); it is begun anew")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

/// The file that remembers peers from one start to the next. Calls block on the disk for a moment.
#[derive(Clone, Debug)]
pub struct PeerCache {
    path: PathBuf,
}

impl PeerCache {
    /// The cache in this file, which need not exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        PeerCache { path: path.into() }
    }

    /// Replaces the content, whole or not at all. Of too many peers those that were seen last are kept. One writer at a time.
    ///
    /// # Errors
    /// This machine would not write.
    pub fn save(&self, peers: &[CachedPeer]) -> Result<(), CacheError> {
        let mut peers: Vec<CachedPeer> = peers.to_vec();
        peers.sort_by(|a, b| b.seen_unix_s.cmp(&a.seen_unix_s).then_with(|| a.node.cmp(&b.node)));
        peers.truncate(MAX_PEERS);
        peers.iter_mut().for_each(|peer| peer.addresses.truncate(MAX_ADDRESSES));
        let error = |source| CacheError::File { path: self.path.clone(), done: "written", source };
        let bytes = serde_json::to_vec_pretty(&Content { version: VERSION, peers })
            .map_err(|why| error(io::Error::other(why)))?;
        self.replace(&bytes).map_err(error)
    }

    fn replace(&self, bytes: &[u8]) -> io::Result<()> {
        let mut name = self.path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
        name.push(".new");
        let new = self.path.with_file_name(name);
        // A leftover of an interrupted write may have other permissions.
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, &self.path)
    }

    /// The peers, the one that was seen last first; none where there is no file.
    ///
    /// # Errors
    /// The file is there and cannot be read or understood.
    pub fn load(&self) -> Result<Vec<CachedPeer>, CacheError> {
        let error = |source| CacheError::File { path: self.path.clone(), done: "read", source };
        let file = match File::open(&self.path) {
            Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(error)?,
        };
        let mut bytes = Vec::new();
        file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(error)?;
        let damaged = |why: String| CacheError::Damaged { path: self.path.clone(), why };
        if bytes.len() as u64 > MAX_FILE {
            return Err(damaged(format!("it is larger than {MAX_FILE} bytes")));
        }
        let content: Content = serde_json::from_slice(&bytes).map_err(|why| damaged(why.to_string()))?;
        if content.version != VERSION {
            return Err(damaged(format!("its version is {} and not {VERSION}", content.version)));
        }
        let mut peers = content.peers;
        peers.truncate(MAX_PEERS);
        peers.iter_mut().for_each(|peer| peer.addresses.truncate(MAX_ADDRESSES));
        Ok(peers)
    }
}

/// Finds the peers of earlier runs.
#[derive(Debug)]
pub struct Cache {
    waiting: Waiting,
    trouble: Option<Trouble>,
}

impl Cache {
    /// Reads the cache. A damaged one is trouble and counts as empty.
    pub fn open(cache: &PeerCache, pace: Pace) -> Self {
        let mut waiting = Waiting::new(pace);
        match cache.load() {
            Ok(peers) => {
                let now = Instant::now();
                for peer in peers {
                    for address in peer.addresses {
                        waiting.insert(address, Some(peer.node.clone()), now);
                    }
                }
                Cache { waiting, trouble: None }
            }
            Err(error) => Cache { waiting, trouble: Some(Trouble::Cache(error.to_string())) },
        }
    }

    async fn find(&mut self) -> Option<Finding> {
        if let Some(trouble) = self.trouble.take() {
            return Some(Finding::Trouble(trouble));
        }
        loop {
            if self.waiting.is_empty() {
                return None;
            }
            if let Some((address, node)) = self.waiting.poll(Instant::now()) {
                return Some(Finding::Found(Found { address, source: Source::Cache, node }));
            }
            until(self.waiting.next_due()).await;
        }
    }
}

impl Discovery for Cache {
    fn announce(&mut self, own: &Own) {
        self.waiting.remove_node(&own.node);
    }

    fn linked(&mut self, address: SocketAddr) {
        self.waiting.linked(address);
    }

    fn lost(&mut self, address: SocketAddr) {
        self.waiting.lost(address, Instant::now());
    }

    fn next(&mut self) -> Next<'_> {
        Box::pin(self.find())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn peer(number: u64) -> CachedPeer {
        CachedPeer {
            node: NodeName::new(&format!("n{number}")).unwrap(),
            addresses: vec![SocketAddr::from(([10, 0, 0, 1], number as u16 + 1))],
            seen_unix_s: number,
        }
    }

    #[test]
    fn what_is_saved_is_loaded_newest_first_and_bounded() {
        let directory = tempfile::tempdir().unwrap();
        let cache = PeerCache::new(directory.path().join("peers.json"));
        assert_eq!(cache.load().unwrap(), []);
        let mut many: Vec<CachedPeer> = (0..300).map(peer).collect();
        many[299].addresses = vec![many[299].addresses[0]; 20];
        cache.save(&many).unwrap();
        let loaded = cache.load().unwrap();
        assert_eq!(loaded.len(), MAX_PEERS);
        assert_eq!((loaded[0].seen_unix_s, loaded[0].addresses.len()), (299, MAX_ADDRESSES));
        cache.save(&[peer(1)]).unwrap();
        assert_eq!(cache.load().unwrap(), [peer(1)]);
        let mode = fs::metadata(directory.path().join("peers.json")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left behind");
    }

    #[test]
    fn a_failed_write_leaves_the_old_content() {
        let directory = tempfile::tempdir().unwrap();
        let cache = PeerCache::new(directory.path().join("peers.json"));
        cache.save(&[peer(1)]).unwrap();
        fs::create_dir(directory.path().join("peers.json.new")).unwrap();
        assert!(matches!(cache.save(&[peer(2)]), Err(CacheError::File { done: "written", .. })));
        assert_eq!(cache.load().unwrap(), [peer(1)]);
    }

    #[tokio::test]
    async fn a_damaged_file_is_a_warning_and_counts_as_empty() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("peers.json");
        let cache = PeerCache::new(&path);
        for content in [&b"{"[..], b"\xff\xfe", br#"{"version": 9, "peers": []}"#, &[b' '; (1 << 20) + 1]] {
            fs::write(&path, content).unwrap();
            assert!(matches!(cache.load(), Err(CacheError::Damaged { .. })));
            let mut adapter = Cache::open(&cache, Pace::default());
            assert!(matches!(adapter.next().await, Some(Finding::Trouble(Trouble::Cache(_)))));
            assert_eq!(adapter.next().await, None);
        }
        cache.save(&[peer(1)]).unwrap();
        assert_eq!(cache.load().unwrap(), [peer(1)], "a damaged file is replaced by the next save");
    }
}
