use aire_admin::documents::StreamRow;

use super::{Done, show};
use crate::args::Ask;
use crate::figures;
use crate::table::Table;

pub(crate) fn streams(ask: &Ask) -> Done {
    show(ask, "/api/v1/streams", |streams: &Vec<StreamRow>| text(streams))
}

fn text(streams: &[StreamRow]) -> String {
    let mut table =
        Table::new(&["ID", "APP", "PEER", "CLASS", "SPEAKS", "PATH", ">IN", ">OUT", ">MOVES", ">AGE"]);
    for stream in streams {
        table.row([
            stream.id.clone(),
            stream.app.to_string(),
            stream.peer.to_string(),
            stream.class.to_string(),
            stream.protocol.to_string(),
            stream.path.to_string(),
            figures::bytes(stream.bytes_in),
            figures::bytes(stream.bytes_out),
            stream.moves.to_string(),
            figures::span(stream.age_s),
        ]);
    }
    table.text("no stream is open")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_a_row() {
        let document = r#"[{"id":"7","app":"web","peer":"n1","class":"bulk","path":[],"bytes_in":5,
            "bytes_out":2000,"moves":1,"age_s":3.5}]"#;
        let text = text(&serde_json::from_str::<Vec<StreamRow>>(document).unwrap());
        assert_eq!(
            text.lines().nth(1),
            Some("7   web  n1    bulk   tcp     direct  5 B  2.0 kB      1   3s")
        );
    }
}
