#pragma once

#include <string_view>

namespace finer::console {

/// Standard error as one shared thing: whole lines above, and on a terminal one status line below
/// that is redrawn in place. Whoever writes lines or the status through here garbles neither.
/// Threads: any.

/// Standard error is a terminal whose last line can be redrawn: TERM is not "dumb" and CI is not
/// set.
bool is_live();
/// is_live(), and NO_COLOR is not set (https://no-color.org).
bool has_color();
/// Columns of the terminal now; 80 where there is none.
int columns();

/// One line, the newline is added. Control characters become '?', so that a file's name cannot
/// steer the terminal.
void write_line(std::string_view line);

/// Shows `text` below all lines until it is replaced; "" takes it away. It may hold colour
/// sequences and must be narrower than columns(). Does nothing unless is_live().
void set_status(std::string_view text);

}  // namespace finer::console
