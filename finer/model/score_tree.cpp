#include "finer/model/score_tree.h"

#include <algorithm>
#include <numeric>

namespace finer {

ScoreTree ScoreTree::build(const std::vector<std::vector<int64_t>>& continuations) {
  std::vector<size_t> order(continuations.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return continuations[a] < continuations[b]; });
  ScoreTree tree;
  tree.ends.assign(continuations.size(), -1);
  std::vector<int64_t> path;  // nodes of the continuation before
  for (const size_t which : order) {
    const auto& tokens = continuations[which];
    size_t same = 0;
    while (same < path.size() && same < tokens.size() &&
           tree.nodes[static_cast<size_t>(path[same])].token == tokens[same]) {
      ++same;
    }
    path.resize(same);
    for (size_t i = same; i < tokens.size(); ++i) {
      const int64_t parent = path.empty() ? -1 : path.back();
      if (parent >= 0) tree.nodes[static_cast<size_t>(parent)].has_children = true;
      path.push_back(static_cast<int64_t>(tree.nodes.size()));
      tree.nodes.push_back({tokens[i], parent, static_cast<int64_t>(i), false});
    }
    if (!path.empty()) tree.ends[which] = path.back();
  }
  return tree;
}

}  // namespace finer
