#include "finer/model/prefix_tree.h"

#include "finer/core/error.h"

#include <algorithm>
#include <queue>

namespace finer {

struct PrefixTree::Node {
  Node* parent = nullptr;
  std::vector<int64_t> elements;
  std::vector<int32_t> slots;
  std::map<int64_t, std::unique_ptr<Node>> children;  // by their first element
  int64_t num_locks = 0;                              // at least its children's
  uint64_t last_used = 0;

  int64_t size() const { return static_cast<int64_t>(elements.size()); }
};

PrefixTree::PrefixTree() : root_(std::make_unique<Node>()) {}
PrefixTree::~PrefixTree() { clear(); }

PrefixTree::Match PrefixTree::match(std::span<const int64_t> elements) {
  Match out;
  out.node = root_.get();
  while (!elements.empty()) {
    const auto found = out.node->children.find(elements.front());
    if (found == out.node->children.end()) break;
    Node* node = found->second.get();
    size_t same = 0;
    while (same < elements.size() && same < node->elements.size() &&
           elements[same] == node->elements[same]) {
      ++same;
    }
    if (same < node->elements.size()) {  // the first part becomes a node above
      auto upper = std::make_unique<Node>();
      const auto cut = static_cast<std::ptrdiff_t>(same);
      upper->parent = node->parent;
      upper->elements.assign(node->elements.begin(), node->elements.begin() + cut);
      upper->slots.assign(node->slots.begin(), node->slots.begin() + cut);
      upper->num_locks = node->num_locks;
      upper->last_used = node->last_used;
      node->elements.erase(node->elements.begin(), node->elements.begin() + cut);
      node->slots.erase(node->slots.begin(), node->slots.begin() + cut);
      node->parent = upper.get();
      upper->children.emplace(node->elements.front(), std::move(found->second));
      found->second = std::move(upper);
      node = found->second.get();
    }
    node->last_used = ++clock_;
    out.slots.insert(out.slots.end(), node->slots.begin(), node->slots.end());
    out.node = node;
    elements = elements.subspan(same);
  }
  return out;
}

PrefixTree::Node* PrefixTree::insert(Node* parent, std::span<const int64_t> elements,
                                     std::span<const int32_t> slots) {
  FINER_CHECK(!elements.empty() && elements.size() == slots.size(), "a slot for every element");
  auto& place = parent->children[elements.front()];
  if (place) return nullptr;
  place = std::make_unique<Node>();
  place->parent = parent;
  place->elements.assign(elements.begin(), elements.end());
  place->slots.assign(slots.begin(), slots.end());
  place->last_used = ++clock_;
  num_tokens_ += place->size();
  return place.get();
}

void PrefixTree::lock(Node* node) {
  for (; node != root_.get(); node = node->parent) {
    if (node->num_locks++ == 0) num_locked_tokens_ += node->size();
  }
}

void PrefixTree::unlock(Node* node) {
  for (; node != root_.get(); node = node->parent) {
    FINER_CHECK(node->num_locks > 0, "locks are given back once");
    if (--node->num_locks == 0) num_locked_tokens_ -= node->size();
  }
}

int64_t PrefixTree::num_unlocked_above(const Node* node) const {
  int64_t sum = 0;
  for (; node != root_.get(); node = node->parent) {
    if (node->num_locks == 0) sum += node->size();
  }
  return sum;
}

std::vector<int32_t> PrefixTree::evict(int64_t wanted) {
  const auto is_later = [](const Node* a, const Node* b) { return a->last_used > b->last_used; };
  std::priority_queue<Node*, std::vector<Node*>, decltype(is_later)> leaves(is_later);
  std::vector<Node*> open = {root_.get()};
  while (!open.empty()) {
    Node* node = open.back();
    open.pop_back();
    for (auto& [element, child] : node->children) open.push_back(child.get());
    if (node != root_.get() && node->children.empty() && node->num_locks == 0) leaves.push(node);
  }
  std::vector<int32_t> freed;
  while (!leaves.empty() && static_cast<int64_t>(freed.size()) < wanted) {
    Node* leaf = leaves.top();
    leaves.pop();
    Node* parent = leaf->parent;
    freed.insert(freed.end(), leaf->slots.begin(), leaf->slots.end());
    num_tokens_ -= leaf->size();
    const int64_t first = leaf->elements.front();
    parent->children.erase(first);
    if (parent != root_.get() && parent->children.empty() && parent->num_locks == 0)
      leaves.push(parent);
  }
  return freed;
}

void PrefixTree::clear() {
  std::vector<std::unique_ptr<Node>> open;  // long conversations are deep: no recursion
  open.push_back(std::move(root_));
  while (!open.empty()) {
    const auto node = std::move(open.back());
    open.pop_back();
    for (auto& [element, child] : node->children) open.push_back(std::move(child));
    node->children.clear();
  }
  root_ = std::make_unique<Node>();
  num_tokens_ = num_locked_tokens_ = 0;
}

}  // namespace finer
