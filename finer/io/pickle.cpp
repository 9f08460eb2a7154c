#include "finer/io/pickle.h"

#include "finer/core/error.h"
#include "finer/core/quote.h"
#include "finer/io/mapped_file.h"

#include <algorithm>
#include <array>
#include <unordered_map>
#include <utility>

namespace finer {

namespace {

constexpr size_t kMaxPickleBytes = 64'000'000;  // a tensor takes about 250: 250,000 of them
constexpr size_t kMaxNodes = 8'000'000;

constexpr std::array<std::string_view, 14> kAllowedGlobals = {
    "collections.OrderedDict",
    "torch.Size",
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_tensor_v2",
    "torch.DoubleStorage",
    "torch.FloatStorage",
    "torch.HalfStorage",
    "torch.BFloat16Storage",
    "torch.LongStorage",
    "torch.IntStorage",
    "torch.ShortStorage",
    "torch.CharStorage",
    "torch.ByteStorage",
    "torch.BoolStorage",
};

// Opcodes by the names that pickletools gives them.
enum Opcode : unsigned char {
  kProto = 0x80,
  kFrame = 0x95,
  kStop = '.',
  kMark = '(',
  kNoneValue = 'N',
  kNewTrue = 0x88,
  kNewFalse = 0x89,
  kBinInt = 'J',
  kBinInt1 = 'K',
  kBinInt2 = 'M',
  kLong1 = 0x8a,
  kBinFloat = 'G',
  kEmptyTuple = ')',
  kTuple1 = 0x85,
  kTuple2 = 0x86,
  kTuple3 = 0x87,
  kTupleOfMark = 't',
  kEmptyList = ']',
  kAppend = 'a',
  kAppends = 'e',
  kEmptyDict = '}',
  kSetItem = 's',
  kSetItems = 'u',
  kBinPut = 'q',
  kLongBinPut = 'r',
  kMemoize = 0x94,
  kBinGet = 'h',
  kLongBinGet = 'j',
  kGlobalName = 'c',
  kStackGlobal = 0x93,
  kInst = 'i',
  kBinPersId = 'Q',
  kReduce = 'R',
  kBuild = 'b'
};

// Opcodes that are followed by a length and so many bytes.
struct SizedOpcode {
  unsigned char opcode;
  size_t length_bytes;
  bool is_text;
};
constexpr std::array<SizedOpcode, 7> kSizedOpcodes = {{
    {'X', 4, true},   // BINUNICODE
    {0x8c, 1, true},  // SHORT_BINUNICODE
    {0x8d, 8, true},  // BINUNICODE8
    {'T', 4, true},   // BINSTRING: Python 2
    {'U', 1, true},   // SHORT_BINSTRING
    {'B', 4, false},  // BINBYTES
    {'C', 1, false},  // SHORT_BINBYTES
}};

class PickleReader {
 public:
  PickleReader(const std::string& where, std::string_view bytes) : where_(where), bytes_(bytes) {}

  Pickle read() {
    if (bytes_.size() > kMaxPickleBytes)
      fail("is over " + std::to_string(kMaxPickleBytes) + " bytes");
    while (true) {
      at_opcode_ = next_;
      const auto opcode = static_cast<unsigned char>(take(1)[0]);
      if (opcode == kStop) break;
      if (!read_sized(opcode) && !read_number(opcode) && !read_collection(opcode) &&
          !read_memo(opcode) && !read_object(opcode)) {
        fail("uses opcode " + std::to_string(opcode) + ", which torch.save does not write");
      }
    }
    pickle_.root = pop();
    if (!stack_.empty() || !marks_.empty()) fail("ends before it is complete");
    return std::move(pickle_);
  }

 private:
  [[noreturn]] void fail(const std::string& why) const {
    throw CheckpointError(where_ + ": its pickle " + why + " (byte " + std::to_string(at_opcode_) +
                          ")");
  }

  // --- bytes ---
  std::string_view take(uint64_t count) {
    if (count > bytes_.size() - next_) fail("is truncated");
    const auto part = bytes_.substr(next_, count);
    next_ += count;
    return part;
  }
  template <class Number>
  Number take_number() {
    return number_at<Number>(take(sizeof(Number)), 0);
  }
  std::string_view take_line() {
    const size_t end = bytes_.find('\n', next_);
    if (end == std::string_view::npos) fail("is truncated");
    const auto line = take(end - next_);
    ++next_;
    return line;
  }

  // --- stack ---
  void push(uint32_t node) { stack_.push_back(node); }
  void push_new(PickleNode node) {
    if (pickle_.nodes.size() >= kMaxNodes) fail("holds too many values");
    pickle_.nodes.push_back(std::move(node));
    push(static_cast<uint32_t>(pickle_.nodes.size() - 1));
  }
  size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }
  uint32_t pop() {
    if (stack_.size() <= floor()) fail("takes a value from an empty stack");
    const uint32_t top = stack_.back();
    stack_.pop_back();
    return top;
  }
  uint32_t top() {
    if (stack_.size() <= floor()) fail("looks at a value on an empty stack");
    return stack_.back();
  }
  std::vector<uint32_t> pop_count(size_t count) {
    if (stack_.size() < floor() + count) fail("takes a value from an empty stack");
    std::vector<uint32_t> items(stack_.end() - static_cast<ptrdiff_t>(count), stack_.end());
    stack_.resize(stack_.size() - count);
    return items;
  }
  std::vector<uint32_t> pop_to_mark() {
    if (marks_.empty()) fail("ends a list that it has not begun");
    auto items = pop_count(stack_.size() - marks_.back());
    marks_.pop_back();
    return items;
  }
  PickleNode& node(uint32_t index) { return pickle_.nodes[index]; }

  // --- opcodes: each function returns false when the opcode is none of its own ---
  bool read_sized(unsigned char opcode) {
    for (const auto& sized : kSizedOpcodes) {
      if (opcode != sized.opcode) continue;
      uint64_t length = 0;
      const auto digits = take(sized.length_bytes);
      std::copy(digits.begin(), digits.end(), reinterpret_cast<char*>(&length));
      const auto text = take(length);
      push_new({.kind = sized.is_text ? PickleKind::kText : PickleKind::kOther, .text = text});
      return true;
    }
    return false;
  }

  bool read_number(unsigned char opcode) {
    switch (opcode) {
      case kNewTrue:
      case kNewFalse:
        push_new({.kind = PickleKind::kBool, .number = opcode == kNewTrue});
        return true;
      case kBinInt:
        push_int(take_number<int32_t>());
        return true;
      case kBinInt1:
        push_int(take_number<uint8_t>());
        return true;
      case kBinInt2:
        push_int(take_number<uint16_t>());
        return true;
      case kLong1:
        push_long(take(take_number<uint8_t>()));
        return true;
      case kBinFloat:
        take(8);
        push_new({.kind = PickleKind::kOther});
        return true;
      default:
        return false;
    }
  }
  void push_int(int64_t number) { push_new({.kind = PickleKind::kInt, .number = number}); }
  // digits: two's complement, little-endian
  void push_long(std::string_view digits) {
    if (digits.size() > 8) return push_new({.kind = PickleKind::kOther});
    uint64_t value = !digits.empty() && (digits.back() & 0x80) != 0 ? ~uint64_t{0} : 0;
    std::copy(digits.begin(), digits.end(), reinterpret_cast<char*>(&value));
    push_int(static_cast<int64_t>(value));
  }

  void push_tuple(std::vector<uint32_t> items) {
    push_new({.kind = PickleKind::kTuple, .items = std::move(items)});
  }
  void extend(PickleKind kind, const std::vector<uint32_t>& items) {
    auto& target = node(top());
    if (target.kind != kind) fail("adds items to something that is not a list or dictionary");
    if (kind == PickleKind::kDict && items.size() % 2 != 0) fail("has a key without a value");
    target.items.insert(target.items.end(), items.begin(), items.end());
  }

  bool read_collection(unsigned char opcode) {
    switch (opcode) {
      case kMark:
        marks_.push_back(stack_.size());
        return true;
      case kEmptyTuple:
        push_tuple({});
        return true;
      case kTuple1:
      case kTuple2:
      case kTuple3:
        push_tuple(pop_count(opcode - kTuple1 + 1));
        return true;
      case kTupleOfMark:
        push_tuple(pop_to_mark());
        return true;
      case kEmptyList:
      case kEmptyDict:
        push_new({.kind = opcode == kEmptyList ? PickleKind::kList : PickleKind::kDict});
        return true;
      case kAppend:
        extend(PickleKind::kList, pop_count(1));
        return true;
      case kAppends:
        extend(PickleKind::kList, pop_to_mark());
        return true;
      case kSetItem:
        extend(PickleKind::kDict, pop_count(2));
        return true;
      case kSetItems:
        extend(PickleKind::kDict, pop_to_mark());
        return true;
      default:
        return false;
    }
  }

  bool read_memo(unsigned char opcode) {
    switch (opcode) {
      case kBinPut:
        memo_[take_number<uint8_t>()] = top();
        return true;
      case kLongBinPut:
        memo_[take_number<uint32_t>()] = top();
        return true;
      case kMemoize:
        memo_[static_cast<uint32_t>(memo_.size())] = top();
        return true;
      case kBinGet:
        push_remembered(take_number<uint8_t>());
        return true;
      case kLongBinGet:
        push_remembered(take_number<uint32_t>());
        return true;
      default:
        return false;
    }
  }
  void push_remembered(uint32_t key) {
    const auto found = memo_.find(key);
    if (found == memo_.end()) fail("takes a value from its memo that it has not put there");
    push(found->second);
  }

  void check_protocol(int protocol) const {
    if (protocol < 2 || protocol > 5) {
      fail("has protocol " + std::to_string(protocol) + ", expected 2 to 5");
    }
  }
  void push_global(std::string_view module, std::string_view name) {
    const std::string full = std::string(module) + "." + std::string(name);
    const auto known = std::find(kAllowedGlobals.begin(), kAllowedGlobals.end(), full);
    if (known == kAllowedGlobals.end()) {
      fail("names " + quote(full) +
           ", which is not allowed: only dictionaries of tensors and parameters " +
           "are read, and nothing was run; save the weights alone, with "
           "torch.save(model.state_dict(), ...)");
    }
    push_new({.kind = PickleKind::kGlobal, .text = *known});
  }

  bool read_object(unsigned char opcode) {
    switch (opcode) {
      case kProto:
        check_protocol(take_number<uint8_t>());
        return true;
      case kFrame:
        take(8);
        return true;
      case kNoneValue:
        push_new({.kind = PickleKind::kNone});
        return true;
      case kGlobalName: {
        const auto module = take_line();
        push_global(module, take_line());
        return true;
      }
      case kInst: {  // a call in one opcode: for the sake of the name in the message
        const auto module = take_line();
        push_global(module, take_line());
        return false;
      }
      case kStackGlobal: {
        const auto names = pop_count(2);
        for (const uint32_t name : names) {
          if (node(name).kind != PickleKind::kText)
            fail("names a global by something else than text");
        }
        push_global(node(names[0]).text, node(names[1]).text);
        return true;
      }
      case kBinPersId:
        push_new({.kind = PickleKind::kStorage, .items = {pop()}});
        return true;
      case kReduce: {
        const uint32_t arguments = pop(), callable = pop();
        push_call(callable, arguments);
        return true;
      }
      case kBuild: {  // attributes of an ordered dictionary (a module's `_metadata`): not needed
        pop();
        if (node(top()).kind != PickleKind::kDict)
          fail("sets the state of something that is not a dictionary");
        return true;
      }
      default:
        return false;
    }
  }
  void push_call(uint32_t callable, uint32_t arguments) {
    if (node(callable).kind != PickleKind::kGlobal || node(arguments).kind != PickleKind::kTuple) {
      fail("calls something that is not a function");
    }
    if (node(callable).text == "collections.OrderedDict") {
      if (!node(arguments).items.empty()) fail("makes an ordered dictionary from arguments");
      return push_new({.kind = PickleKind::kDict});
    }
    push_new({.kind = PickleKind::kCall, .items = {callable, arguments}});
  }

  const std::string& where_;
  std::string_view bytes_;
  size_t next_ = 0, at_opcode_ = 0;
  Pickle pickle_;
  std::vector<uint32_t> stack_;
  std::vector<size_t> marks_;  // sizes of the stack
  std::unordered_map<uint32_t, uint32_t> memo_;
};

}  // namespace

Pickle read_pickle(const std::string& where, std::string_view bytes) {
  return PickleReader(where, bytes).read();
}

}  // namespace finer
