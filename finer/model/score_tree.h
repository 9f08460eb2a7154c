#pragma once

#include <cstdint>
#include <vector>

namespace finer {

/// Prefix tree over continuations of one prompt. Nodes stand in preorder: a node's ancestors come
/// before it, and what is behind a node needs none of those between its own ancestors.
struct ScoreTree {
  struct Node {
    int64_t token = 0;
    int64_t parent = -1;        // -1: follows the prompt
    int64_t depth = 0;          // tokens before it in the continuation
    bool has_children = false;  // only then is anything predicted after it
  };
  std::vector<Node> nodes;
  std::vector<int64_t> ends;  // last node of each continuation; -1 of an empty one

  static ScoreTree build(const std::vector<std::vector<int64_t>>& continuations);
};

}  // namespace finer
