@echo off
rem A node on a Windows machine, from a fresh checkout: sets up .venv, registers, starts.
rem
rem   tools\run_worker.bat http://192.168.1.10:8000                 asks for the join code
rem   tools\run_worker.bat http://192.168.1.10:8000 "Friend PC"     under a name
rem   tools\run_worker.bat                                          again, once it is registered
rem
rem The join code comes from the coordinator's page "Nodes"; STT_JOIN_CODE saves the question.
setlocal
cd /d "%~dp0.."
set "STT=.venv\Scripts\stt.exe"

py -3 -c "import sys; sys.exit(sys.version_info < (3, 11))" >nul 2>nul
if errorlevel 1 (
    echo stt needs Python 3.11 or newer with its launcher py: https://www.python.org/downloads/ 1>&2
    exit /b 3
)
if not exist .venv\Scripts\python.exe py -3 -m venv .venv || exit /b 1
echo Setting up .venv, which takes a minute ...
.venv\Scripts\python.exe -m pip install --quiet --disable-pip-version-check --constraint requirements.lock --editable ".[node,server]" || exit /b 1

set "FIRST=%~1"
if /i not "%FIRST:~0,4%"=="http" goto start
set "NAME=%~2"
if "%NAME%"=="" set "NAME=%COMPUTERNAME%"
for /f "delims=" %%d in ('.venv\Scripts\python.exe -c "from stt.settings import load_settings as load; print(load().config_dir)"') do set "FOLDER=%%d"
if not exist "%FOLDER%\node.json" "%STT%" node register --server "%FIRST%" --name "%NAME%" || exit /b 1
"%STT%" node start
exit /b %ERRORLEVEL%

:start
"%STT%" node start %*
exit /b %ERRORLEVEL%
