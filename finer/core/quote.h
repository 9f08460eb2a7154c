#pragma once

#include <string>
#include <string_view>

namespace finer {

/// Text from a file or a command line as it may stand in a message: in double quotes, control
/// characters and bytes that are not ASCII escaped, long text cut in the middle. An error stays one
/// readable line, whatever was in the file.
std::string quote(std::string_view text, size_t max_length = 160);

}  // namespace finer
