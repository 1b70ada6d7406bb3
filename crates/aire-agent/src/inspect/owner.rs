//! Whose socket is it? From the tables of proc(5).

use std::fs;
use std::net::SocketAddr;

/// The process that has `address`, such as `nginx (process 812)`; `None` where this cannot be seen.
pub(super) fn of(address: SocketAddr, protocol: &str) -> Option<String> {
    let tables = if protocol == "UDP" { ["udp", "udp6"] } else { ["tcp", "tcp6"] };
    tables.iter().find_map(|table| {
        let text = fs::read_to_string(format!("/proc/net/{table}")).ok()?;
        sockets(&text, address.port(), protocol == "TCP").into_iter().find_map(|inode| process(&inode))
    })
}

/// The inodes of the sockets on a port; of TCP only those that listen (state 0A).
fn sockets(table: &str, port: u16, listening: bool) -> Vec<String> {
    let port = format!(":{port:04X}");
    let rows = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row.len() > 9 && row[1].ends_with(&port) && (!listening || row[3] == "0A"))
        .map(|row| row[9].to_owned())
        .collect()
}

fn process(inode: &str) -> Option<String> {
    let wanted = format!("socket:[{inode}]");
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let has = |pid: &u32| {
        let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        files.filter_map(|file| fs::read_link(file.path()).ok()).any(|to| to.as_os_str() == wanted.as_str())
    };
    let pid = pids.into_iter().find(has)?;
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Some(format!("{} (process {pid})", name.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_told_by_port_and_state() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 0100007F:1BCD 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1\n\
            1: 0100007F:1BCD 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 4712 1\n";
        assert_eq!(sockets(table, 7117, true), ["4711"]);
        assert_eq!(sockets(table, 7117, false), ["4711", "4712"]);
        assert!(sockets(table, 7118, true).is_empty());
    }
}
