//! What the kernel knows about a TCP connection.

use std::io;
use std::mem::{MaybeUninit, offset_of, size_of};
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

/// A reading of TCP_INFO. Only the first hop: behind a relay it says nothing about the rest of the path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpInfo {
    /// Smoothed round trip.
    pub rtt: Duration,
    /// Mean deviation of the round trip.
    pub rttvar: Duration,
    /// Lowest round trip seen lately.
    pub min_rtt: Duration,
    /// Segments sent again, in total.
    pub retransmits: u32,
    /// Segments sent, in total.
    pub segments_out: u32,
    /// Of these, segments with data.
    pub data_segments_out: u32,
    /// Segments received.
    pub segments_in: u32,
    /// Bytes sent, in total, with those sent again.
    pub bytes_sent: u64,
    /// Bytes that the other end has acknowledged.
    pub bytes_acked: u64,
    /// Bytes received.
    pub bytes_received: u64,
    /// Recent rate of delivery, bytes per second.
    pub delivery_rate: u64,
    /// Bytes not yet sent.
    pub notsent: u32,
    /// Segments in flight.
    pub unacked: u32,
    /// Congestion window, segments.
    pub cwnd: u32,
}

/// struct tcp_info of Linux up to bytes_retrans; the kernel only ever appends to it (include/uapi/linux/tcp.h).
#[repr(C)]
#[derive(Clone, Copy)]
struct Raw {
    state_to_wscale: [u8; 8],
    rto_to_reordering: [u32; 15],
    rtt: u32,
    rttvar: u32,
    snd_ssthresh: u32,
    snd_cwnd: u32,
    advmss: u32,
    reordering: u32,
    rcv_rtt: u32,
    rcv_space: u32,
    total_retrans: u32,
    pacing_rate: u64,
    max_pacing_rate: u64,
    bytes_acked: u64,
    bytes_received: u64,
    segs_out: u32,
    segs_in: u32,
    notsent_bytes: u32,
    min_rtt: u32,
    data_segs_in: u32,
    data_segs_out: u32,
    delivery_rate: u64,
    busy_time: u64,
    rwnd_limited: u64,
    sndbuf_limited: u64,
    delivered: u32,
    delivered_ce: u32,
    bytes_sent: u64,
    bytes_retrans: u64,
}

const _: () = assert!(offset_of!(Raw, rtt) == 68 && offset_of!(Raw, pacing_rate) == 104);
const _: () = assert!(offset_of!(Raw, delivery_rate) == 160 && size_of::<Raw>() == 216);
/// `unacked` in `rto_to_reordering`: rto, ato, snd_mss, rcv_mss, unacked.
const UNACKED: usize = 4;

impl TcpInfo {
    /// Asks the kernel about `socket`.
    ///
    /// # Errors
    /// It is not a TCP socket.
    pub fn read(socket: &impl AsFd) -> io::Result<Self> {
        let mut raw = MaybeUninit::<Raw>::zeroed();
        let mut length = size_of::<Raw>() as libc::socklen_t;
        // SAFETY: `raw` is writable for `length` bytes and both live through the call; the descriptor is borrowed.
        let outcome = unsafe {
            libc::getsockopt(
                socket.as_fd().as_raw_fd(),
                libc::IPPROTO_TCP,
                libc::TCP_INFO,
                raw.as_mut_ptr().cast(),
                &raw mut length,
            )
        };
        if outcome != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: zeroed before the call, and every bit pattern is a value of integers; an older kernel fills less.
        let raw = unsafe { raw.assume_init() };
        let micros = |value: u32| Duration::from_micros(value.into());
        Ok(TcpInfo {
            rtt: micros(raw.rtt),
            rttvar: micros(raw.rttvar),
            min_rtt: micros(raw.min_rtt),
            retransmits: raw.total_retrans,
            segments_out: raw.segs_out,
            segments_in: raw.segs_in,
            data_segments_out: raw.data_segs_out,
            bytes_sent: raw.bytes_sent,
            bytes_acked: raw.bytes_acked,
            bytes_received: raw.bytes_received,
            delivery_rate: raw.delivery_rate,
            notsent: raw.notsent_bytes,
            unacked: raw.rto_to_reordering[UNACKED],
            cwnd: raw.snd_cwnd,
        })
    }
}
