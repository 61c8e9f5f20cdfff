# Keys that change a line while it is typed in evo chat: with libedit if it is installed
# (EVO_EDIT=OFF: not even then).
option(EVO_EDIT "Edit lines in evo chat, if libedit is installed" ON)
if(EVO_EDIT)
  pkg_check_modules(libedit QUIET IMPORTED_TARGET libedit)
endif()
if(EVO_EDIT AND libedit_FOUND)
  set(EVO_HAS_EDIT ON)
  set(EVO_EDIT_TARGET PkgConfig::libedit)
  set(EVO_OTHER_LINE_EDITOR no_line_editor.cc)
  message(STATUS "Arrow keys and history in evo chat: with libedit")
else()
  set(EVO_HAS_EDIT OFF)
  set(EVO_EDIT_TARGET)
  set(EVO_OTHER_LINE_EDITOR libedit_line_editor.cc)
  message(STATUS "Arrow keys and history in evo chat: no; libedit (Debian: libedit-dev) is not installed or EVO_EDIT is OFF")
endif()

# Of the two line editors, the one that this build has not.
function(evo_leave_out_other_line_editor)
  set_source_files_properties(${PROJECT_SOURCE_DIR}/src/cli/chat/${EVO_OTHER_LINE_EDITOR}
                              PROPERTIES HEADER_FILE_ONLY ON)
endfunction()
