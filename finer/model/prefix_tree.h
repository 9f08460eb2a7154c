#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

namespace finer {

/// What is in the cache, by the tokens it was computed from: a tree whose edges hold runs of
/// elements and the slot of each. An element is a token id, or a negative number for a position of
/// a picture.
///
/// Nodes that running sequences stand on are locked; the others are removed, leaves first and those
/// longest unused first, when room is needed.
class PrefixTree {
 public:
  struct Node;

  PrefixTree();
  ~PrefixTree();

  struct Match {
    Node* node = nullptr;        // ends exactly after the matched elements
    std::vector<int32_t> slots;  // of the matched elements
  };
  /// The longest beginning of `elements` that is there. Splits an edge where it ends within one.
  Match match(std::span<const int64_t> elements);

  /// Hangs a new node below `parent`; nullptr (and nothing done) where the parent has a child that
  /// begins with the same element.
  Node* insert(Node* parent, std::span<const int64_t> elements, std::span<const int32_t> slots);

  /// Locks the node and all above it, as often as unlock will be called.
  void lock(Node* node);
  void unlock(Node* node);

  int64_t num_tokens() const { return num_tokens_; }
  int64_t num_locked_tokens() const { return num_locked_tokens_; }
  /// Tokens that lock(node) would lock and that are not.
  int64_t num_unlocked_above(const Node* node) const;

  /// Removes unlocked nodes until `wanted` tokens are out, or none is left; returns their slots.
  std::vector<int32_t> evict(int64_t wanted);
  void clear();

 private:
  std::unique_ptr<Node> root_;
  int64_t num_tokens_ = 0, num_locked_tokens_ = 0;
  uint64_t clock_ = 0;
};

}  // namespace finer
