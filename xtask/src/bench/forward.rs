//! A plain TCP forwarder: the baseline. It copies through user space, as common proxies do.

use std::net::SocketAddr;

use tokio::io::copy_bidirectional_with_sizes;
use tokio::net::{TcpListener, TcpStream};

use crate::Failure;

/// Enough that system calls do not dominate.
const BUFFER: usize = 256 * 1024;

/// Forwards every connection to `listen` on to `target`, until killed.
pub(crate) fn forward(listen: &str, target: &str) -> Result<(), Failure> {
    let address = |text: &str| text.parse::<SocketAddr>().map_err(|error| format!("'{text}': {error}"));
    let (listen, target) = (address(listen)?, address(target)?);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("starting threads: {error}"))?;
    runtime.block_on(serve(listen, target)).map_err(|error| format!("forwarding {listen}: {error}"))
}

async fn serve(listen: SocketAddr, target: SocketAddr) -> std::io::Result<()> {
    let listener = TcpListener::bind(listen).await?;
    loop {
        let (mut near, _) = listener.accept().await?;
        tokio::spawn(async move {
            let mut far = TcpStream::connect(target).await?;
            near.set_nodelay(true)?;
            far.set_nodelay(true)?;
            copy_bidirectional_with_sizes(&mut near, &mut far, BUFFER, BUFFER).await
        });
    }
}
