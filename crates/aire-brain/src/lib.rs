//! Path choice: estimators, cost, the rule, probe budget and portfolio.
