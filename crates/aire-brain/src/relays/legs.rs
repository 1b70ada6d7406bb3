/// How legs make a path, and what is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Join {
    /// Round trips: a path has their sum, less is better.
    Sum,
    /// Throughputs: a path has the least, more is better.
    Least,
}

impl Join {
    /// The value of a path over one relay; NaN where a leg is.
    pub fn path(self, first: f32, second: f32) -> f32 {
        match self {
            Join::Sum => first + second,
            Join::Least if first.is_nan() || second.is_nan() => f32::NAN,
            Join::Least => first.min(second),
        }
    }

    /// Is `a` better than `b`? False where one is unknown.
    pub fn better(self, a: f32, b: f32) -> bool {
        match self {
            Join::Sum => a < b,
            Join::Least => a > b,
        }
    }

    /// What `path` gains over `direct`, relative to direct: above 0 where it is better.
    pub fn gain(self, direct: f32, path: f32) -> f32 {
        match self {
            Join::Sum => 1.0 - path / direct,
            Join::Least => path / direct - 1.0,
        }
    }
}

/// What others say, or said in history, of their direct legs. Nobody has to be believed.
pub trait Claims {
    /// Of the leg between two nodes; NaN where nothing is known.
    fn leg(&self, from: usize, to: usize) -> f32;

    /// Of the legs from every node to `to`, by node, each the other way round where only that is known; NaN where nothing is.
    fn towards(&self, to: usize, legs: &mut [f32]) {
        for (from, leg) in legs.iter_mut().enumerate() {
            let way = self.leg(from, to);
            *leg = if way.is_finite() { way } else { self.leg(to, from) };
        }
    }
}

/// A table of direct legs between numbered nodes.
#[derive(Clone, Debug, PartialEq)]
pub struct Legs {
    nodes: usize,
    values: Vec<f32>,
}

impl Legs {
    /// Nothing is known.
    pub fn unknown(nodes: usize) -> Self {
        Legs { nodes, values: vec![f32::NAN; nodes * nodes] }
    }

    /// How many nodes there are.
    pub fn nodes(&self) -> usize {
        self.nodes
    }

    /// All legs from one node; none for a node that does not exist.
    pub fn row(&self, from: usize) -> &[f32] {
        self.values.get(from * self.nodes..(from + 1) * self.nodes).unwrap_or_default()
    }

    /// Sets one leg. Without effect for nodes that do not exist; what is no positive number is unknown.
    pub fn set(&mut self, from: usize, to: usize, value: f32) {
        if from < self.nodes && to < self.nodes {
            self.values[from * self.nodes + to] =
                if value.is_finite() && value > 0.0 { value } else { f32::NAN };
        }
    }
}

impl Claims for Legs {
    fn leg(&self, from: usize, to: usize) -> f32 {
        if from < self.nodes && to < self.nodes { self.values[from * self.nodes + to] } else { f32::NAN }
    }
}
