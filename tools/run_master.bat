@echo off
rem A coordinator on a Windows machine. It runs on Linux and macOS only, so here it runs in
rem WSL: install that once with  wsl --install  and restart. Flags as for run_master.sh.
setlocal
cd /d "%~dp0.."
where wsl >nul 2>nul || (
    echo The coordinator needs WSL ^(wsl --install^) or Docker ^(docker compose --profile coordinator up^). 1>&2
    exit /b 3
)
rem A folder of its own: a virtual environment of Windows is of no use in there.
wsl --exec env VENV=.venv-wsl sh tools/run_master.sh %*
exit /b %ERRORLEVEL%
